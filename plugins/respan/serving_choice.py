"""What a person lets serve: the release that was named, or the one before."""

from __future__ import annotations

from dataclasses import dataclass

from ml import releases
from ml.errors import NotFoundError
from ml.storage import Storage


@dataclass(frozen=True, slots=True)
class ServingChoice:
    """``version`` gets ``share`` percent of the traffic, for ``reason``."""

    version: int
    share: int
    reason: str


def choose(storage: Storage, version: int | None, share: int, reason: str | None) -> ServingChoice:
    """What a form asks for; without a version the one that served before the present one first did.

    Raises ``NotFoundError``, with what there is, for a version that isn't released, whose model is gone, or where there
    is none before.
    """
    if version is not None:
        return _checked(storage, ServingChoice(version, share, reason or "let serve by hand"))
    current = releases.serving(storage)
    earlier = releases.version_before(current) if current else None
    if current is None or earlier is None:
        now = f"version {current.version} is the first that served" if current else "nothing was released yet"
        raise NotFoundError(f"there is no version to go back to in {storage.root}: {now}")
    return _checked(storage, ServingChoice(earlier, share, reason or releases.rollback_reason(current, earlier)))


def _checked(storage: Storage, choice: ServingChoice) -> ServingChoice:
    releases.check_model(storage, choice.version)
    return choice
