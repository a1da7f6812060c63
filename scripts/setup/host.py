"""What this machine can load and build: its C library, its processor, its compiler."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping

from scripts.setup.failure import SetupError
from scripts.setup.interpreters import Interpreter


def glibc() -> tuple[int, int]:
    """The GNU C library's (major, minor). Raises ``SetupError`` where TFX has no wheels at all."""
    machine = platform.machine()
    if not sys.platform.startswith("linux") or machine != "x86_64":
        raise SetupError(f"TFX has packages for Linux on x86_64 only, and this is {sys.platform} on {machine}")
    try:
        told = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        told = ""
    version = re.search(r"(\d+)\.(\d+)", told)
    if version is None:
        raise SetupError("TFX needs the GNU C library, and this system has another: use a Debian or Ubuntu (container)")
    return int(version[1]), int(version[2])


def check_can_compile(python: Interpreter, package: str, environment: Mapping[str, str]) -> None:
    """Raises ``SetupError`` where C++ of ``package``, which has no wheel, can't be compiled for ``python``."""
    compilers = [environment.get("CXX", ""), "c++", "g++", "clang++"]
    if not any(name and shutil.which(name.split()[0], path=environment.get("PATH")) for name in compilers):
        raise SetupError(
            f"{package} is compiled here and there is no C++ compiler: install g++ (Debian: apt install g++)"
        )
    if not python.has_headers:
        major, minor = python.minor
        raise SetupError(
            f"{package} is compiled here and {python} at {python.executable} has no headers: install them "
            f"(Debian: apt install python{major}.{minor}-dev)"
        )
