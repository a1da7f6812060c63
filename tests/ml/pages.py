"""A page's commands, typed as it prints them: in one new shell, in a fresh copy of the project, with nothing set."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ml.home import PROJECT

#: Of this machine, not of the project: no other variable reaches the shell. The proxies keep it from the network.
KEPT = ("http_proxy", "https_proxy", "no_proxy")

_BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n```\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_MARK = "=== end of block {number} ==="


@dataclass(frozen=True)
class Commands:
    """A block of commands, and the lines of output that the page shows below it."""

    commands: str
    shown: tuple[str, ...]


def commands_of(page: str) -> list[Commands]:
    """The blocks of commands on ``page``, in their order."""
    return [Commands(block["commands"], tuple((block["output"] or "").splitlines())) for block in _BLOCK.finditer(page)]


def fresh_clone(folder: Path) -> Path:
    """A copy of the project without anything that is made in it, but for TFX's environment, as after ``make setup``."""
    made = (".git", "var", "__pycache__", ".*_cache", ".hypothesis", ".env", "my_pipelines", "rows")
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*made), symlinks=True)
    (folder / "var" / "envs").mkdir(parents=True)
    (folder / "var" / "envs" / "tfx").symlink_to(sys.prefix)
    return folder


def type_in(commands: list[str], clone: Path, home: Path) -> list[str]:
    """Runs the blocks of ``commands`` one after the other in one shell in ``clone``. Returns the output of each.

    The shell ends at the first command that fails, which is an ``AssertionError`` with the end of the output.
    """
    home.mkdir()
    script = "".join(f"{block}echo '{_MARK.format(number=number)}'\n" for number, block in enumerate(commands))
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", script],
        env={"PATH": os.defpath, "HOME": str(home), **{name: os.environ[name] for name in KEPT if name in os.environ}},
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    outputs = re.split(_MARK.format(number=r"\d+") + "\n", done.stdout)
    assert done.returncode == 0, f"{commands[len(outputs) - 1]}\n{outputs[-1][-4000:]}"
    return outputs[:-1]
