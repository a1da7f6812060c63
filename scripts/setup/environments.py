"""The two environments and when they are up to date.

An environment holds a stamp, written last: what was installed, by which interpreter, at which place. A set-up that was
interrupted leaves none, and is done again from nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.setup import host, interpreters, locks
from scripts.setup.failure import SetupError
from scripts.setup.interpreters import Interpreter, Version

#: TFX 1.21 and what it is made of load from this version of glibc on.
NEW_GLIBC = (2, 39)


@dataclass(frozen=True)
class Flavour:
    """One way to fill an environment: what it is called, its locks, what it runs on, and what proves that it works.

    ``compiled``: a package that has no wheel and is compiled at install, or None. ``proof``: a statement that fails in
    a broken environment.
    """

    label: str
    locks: tuple[locks.Lock, ...]
    compiled: str | None
    proof: str

    @property
    def pythons(self) -> tuple[Version, ...]:
        """The Python versions it installs on, the preferred first."""
        return self.locks[0].pythons


AIRFLOW = Flavour("Airflow 3.3", (locks.AIRFLOW, locks.AIRFLOW_DEV), None, "import airflow")
AIRFLOW_ALONE = Flavour("Airflow 3.3 without tools for tests", (locks.AIRFLOW,), None, "import airflow")
TFX_1_16 = Flavour("TFX 1.16", (locks.TFX_1_16,), "pyfarmhash", "import tfx.v1")
TFX_1_21 = Flavour("TFX 1.21", (locks.TFX_1_21,), "pyfarmhash", "import tfx.v1")


@dataclass(frozen=True)
class Environment:
    """A folder below ``$RESPAN_HOME/envs`` and how it may be filled.

    ``override``: the variable that names its interpreter. ``flavours``: what this machine can load, the preferred
    first; the others only where the user's own interpreter asks for them.
    """

    name: str
    override: str
    flavours: tuple[Flavour, ...]


def environments(airflow: Flavour = AIRFLOW) -> tuple[Environment, Environment]:
    """Airflow's and TFX's, for this machine. Raises ``SetupError`` where TFX can't run at all."""
    tfx = (TFX_1_21, TFX_1_16) if host.glibc() >= NEW_GLIBC else (TFX_1_16,)
    return (
        Environment("airflow", "RESPAN_SETUP_AIRFLOW_PYTHON", (airflow,)),
        Environment("tfx", "RESPAN_SETUP_TFX_PYTHON", tfx),
    )


@dataclass(frozen=True)
class Stamp:
    """What an environment holds. ``content``: hash of its locks and place. ``asked``: the override's value, if any."""

    flavour: str
    content: str
    interpreter: str
    python: str
    asked: str | None

    def write(self, folder: Path) -> None:
        """Published in one step, so that an interrupted set-up leaves none."""
        draft = folder / "respan-stamp.json.part"
        draft.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")
        draft.replace(_stamp_file(folder))


def read_stamp(folder: Path) -> Stamp | None:
    """The stamp of the environment in ``folder``; None where it was never finished."""
    try:
        return Stamp(**json.loads(_stamp_file(folder).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def drop_stamp(folder: Path) -> None:
    """From here on the environment counts as unfinished."""
    with contextlib.suppress(FileNotFoundError):
        _stamp_file(folder).unlink()


def content(project: Path, flavour: Flavour, folder: Path) -> str:
    """Hash (hex) of what ``flavour`` installs and where: scripts in an environment hold its place."""
    digest = hashlib.sha256(f"{locks.UV}\0{folder.resolve()}".encode())
    for lock in flavour.locks:
        digest.update(b"\0" + (project / lock.target).read_bytes())
    return digest.hexdigest()


def up_to_date(project: Path, environment: Environment, folder: Path, variables: Mapping[str, str]) -> Stamp | None:
    """The stamp of ``folder`` where it holds exactly what it should; else None. Runs nothing."""
    stamp = read_stamp(folder)
    asked = variables.get(environment.override) or None
    if stamp is None or stamp.asked != asked or not os.access(folder / "bin" / "python", os.X_OK):
        return None
    allowed = environment.flavours if asked else environment.flavours[:1]
    for flavour in allowed:
        if flavour.label == stamp.flavour and content(project, flavour, folder) == stamp.content:
            return stamp
    return None


def choose(environment: Environment, variables: Mapping[str, str]) -> tuple[Flavour, Interpreter]:
    """What to fill ``environment`` with, and the interpreter for it.

    Raises ``SetupError`` that says what to install where there is no interpreter, or no compiler that is needed.
    """
    every = tuple(version for flavour in environment.flavours for version in flavour.pythons)
    python = interpreters.chosen(environment.override, every, variables)
    preferred = environment.flavours[0]
    python = python or interpreters.find(preferred.pythons, variables)
    if python is None:
        wanted = "{}.{}".format(*preferred.pythons[0])
        raise SetupError(
            f"{preferred.label} needs {interpreters.spell(preferred.pythons)}: none on the PATH, nor in pyenv's or "
            f"uv's folder; install it (`uv python install {wanted}` or `pyenv install {wanted}`), or name one in "
            f"{environment.override}"
        )
    flavour = next(each for each in environment.flavours if python.minor in each.pythons)
    if flavour.compiled:
        host.check_can_compile(python, flavour.compiled, variables)
    return flavour, python


def _stamp_file(folder: Path) -> Path:
    return folder / "respan-stamp.json"
