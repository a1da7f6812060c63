"""Steps that passed once and need no second run for the same content, on any revision."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import distributions
from pathlib import Path

from pydantic import ValidationError

from ml import layout
from ml.ci_cd.records import PassedStep
from ml.errors import NotFoundError
from ml.home import PROJECT
from ml.records import now
from ml.storage import Storage


def step_key(step: str, content: str | None, *parameters: str) -> str | None:
    """The key of a step for some content of the repository, None where ``content`` is.

    It is another one with another interpreter, another version of any installed package, other code of Respan itself,
    or other ``parameters``, which are what else the step's result depends on.
    """
    if content is None:
        return None
    digest = hashlib.sha256()
    for part in (step, content, *_installed(), *parameters):
        digest.update(f"{len(part)}:{part}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def passed(storage: Storage, step: str, key: str | None) -> PassedStep | None:
    """What was recorded of the step that passed for ``key``; None: run it. A record of another version counts as
    none."""
    if key is None:
        return None
    try:
        return PassedStep.from_json(storage.read(layout.passed(step, key)))
    except (NotFoundError, ValidationError):
        return None


def record_passed(storage: Storage, step: str, key: str | None, revision: str, result: dict[str, object]) -> None:
    """Records that the step passed, unless ``key`` is None. A repeat replaces the record."""
    if key is not None:
        record = PassedStep(step=step, revision=revision, at=now(), result=result)
        storage.write(layout.passed(step, key), record.to_json())


def _installed() -> list[str]:
    packages = {f"{found.name} {found.version}" for found in distributions()}
    return [platform.machine(), platform.python_version(), *sorted(packages), _own_code()]


def _own_code() -> str:
    digest = hashlib.sha256()
    for file in sorted((PROJECT / "ml").rglob("*.py")):
        digest.update(f"{file.relative_to(PROJECT)}\0{file.stat().st_size}\0".encode() + Path(file).read_bytes())
    return digest.hexdigest()
