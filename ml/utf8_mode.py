"""Python's UTF-8 mode (PEP 540) for commands, whatever the locale is.

In another locale, such as en_US.ISO-8859-1, Python takes the bytes of file names, arguments and environment variables
for other characters, and can't print all that labels hold.
"""

from __future__ import annotations

import os
import sys


def ensure_utf8_mode() -> None:
    """Starts this process's Python program again in UTF-8 mode, unless its text is UTF-8 already.

    To be called first: it doesn't return where it starts again. Child processes inherit the mode.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8":
        return
    os.environ["PYTHONUTF8"] = "1"
    # The option too: an interpreter that ignores the environment (-E, -I) would start again for ever.
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
