"""The locks: which ``.in`` file each is compiled from, for which Python, with packages as of which moment.

``make lock`` compiles them. A lock's first line holds a hash of everything that decides its content, so a stale one is
told without network; packages newer than ``as_of`` don't count, so compiling again gives the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

#: The installer and resolver; comes from PyPI like everything else.
UV = "uv==0.13.9"

_STAMP = "# compiled from sha256:"
_INCLUDES = re.compile(r"^-[rc]\s*(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """One lock file.

    ``source``, ``target``: paths in the project. ``pythons``: the (major, minor) versions it is for; more than one
    makes it hold markers. ``as_of``: RFC 3339 moment after which packages don't count; raise it to take newer ones.
    """

    source: str
    target: str
    pythons: tuple[tuple[int, int], ...]
    as_of: str

    def arguments(self) -> list[str]:
        """What ``uv pip compile`` is called with, but for its output file."""
        oldest = "{}.{}".format(*min(self.pythons))
        universal = ["--universal"] if len(self.pythons) > 1 else []
        return [
            *universal,
            *("--python-version", oldest),
            *("--exclude-newer", self.as_of),
            *("--custom-compile-command", "make lock"),
            self.source,
        ]


AIRFLOW = Lock("requirements.in", "requirements.txt", ((3, 12), (3, 13), (3, 11)), "2026-11-21T20:00:00Z")
AIRFLOW_DEV = Lock("requirements-dev.in", "requirements-dev.txt", AIRFLOW.pythons, AIRFLOW.as_of)
TFX_1_16 = Lock("ml/requirements-tfx1.16.in", "ml/requirements-tfx1.16.txt", ((3, 10),), "2025-03-01T23:59:59Z")
TFX_1_21 = Lock("ml/requirements-tfx1.21.in", "ml/requirements-tfx1.21.txt", ((3, 12), (3, 13)), AIRFLOW.as_of)

#: In the order in which they are compiled: the second is constrained by the first.
LOCKS = (AIRFLOW, AIRFLOW_DEV, TFX_1_16, TFX_1_21)


def stamp_line(project: Path, lock: Lock) -> str:
    """The first line of a fresh ``lock``: a hash of its sources, of what they include, and of how it is compiled."""
    digest = hashlib.sha256()
    digest.update("\0".join([UV, *lock.arguments()]).encode())
    for file in _sources(project / lock.source):
        digest.update(b"\0" + file.name.encode() + b"\0" + file.read_bytes())
    return f"{_STAMP}{digest.hexdigest()}"


def is_stale(project: Path, lock: Lock) -> bool:
    """Whether ``lock`` is missing or was compiled from something else than what is there now."""
    target = project / lock.target
    return not target.is_file() or target.read_text("utf-8").split("\n", 1)[0] != stamp_line(project, lock)


def _sources(file: Path) -> list[Path]:
    found = [file]
    for name in _INCLUDES.findall(file.read_text("utf-8")):
        found += _sources(file.parent / name)
    return found
