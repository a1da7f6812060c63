"""Releases: who serves, since when, and where each released version came from.

``releases/serving.json`` is one small document, changed by compare and swap, so that two changes at once both end up in
its history. ``releases/<version>.json`` is written once and never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ml import layout
from ml.errors import ConflictError, NotFoundError, SettingsError
from ml.records import ReleaseRecord, Serving, ServingChange, now
from ml.storage import ABSENT, Storage

_ATTEMPTS = 20


def serving(storage: Storage) -> Serving | None:
    """Who serves; None before the first release."""
    found = _read_serving(storage)
    return found[0] if found else None


def read_release(storage: Storage, version: int) -> ReleaseRecord:
    """Where ``version`` came from. Raises ``NotFoundError`` naming the versions that there are."""
    try:
        return ReleaseRecord.from_json(storage.read(layout.release(version)))
    except NotFoundError:
        known = ", ".join(str(number) for number in versions(storage)) or "none"
        raise NotFoundError(f"there is no release {version} in {storage.root}; found: {known}") from None


def versions(storage: Storage) -> list[int]:
    """Every released version, ascending as numbers."""
    stems = (info.name.rsplit("/", 1)[-1].removesuffix(".json") for info in storage.list(layout.RELEASES))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())


def record_release(storage: Storage, record: ReleaseRecord) -> ReleaseRecord:
    """Writes the record of a version, once. A repeat by the same run returns what was written the first time; another
    run with the same version is a ``ConflictError``."""
    try:
        storage.write(layout.release(record.version), record.to_json(), if_generation=ABSENT)
    except ConflictError:
        written = read_release(storage, record.version)
        if written.run != record.run:
            raise ConflictError(f"version {record.version} was released by run {written.run} already") from None
        return written
    return record


def serve(storage: Storage, version: int, reason: str, *, share: int = 100, again: bool = False) -> Serving:
    """Gives ``version`` its ``share`` of the traffic, and the rest to those that serve (:func:`traffic_with`).

    For a version's first time: where it has served before, nothing changes, so that the retry of a run can't undo a
    roll back that a person made meanwhile. ``again`` says that it is meant to: to change its share, or to put an
    earlier version back. A repeat changes nothing. Raises ``NotFoundError`` for a version that isn't released or whose
    model is gone.
    """
    check_model(storage, version)

    def change(current: Serving | None) -> ServingChange | None:
        if current is not None and not again and any(version in past.traffic for past in current.history):
            return None
        wanted = traffic_with(current.traffic if current else {}, version, share)
        if current is not None and wanted == current.traffic:
            return None
        return ServingChange(at=now(), traffic=wanted, reason=reason)

    return _change(storage, change)


def traffic_with(current: Mapping[int, int], version: int, share: int) -> dict[int, int]:
    """``current`` with ``share`` percent for ``version``; the others keep their proportions in what is left.

    Whole percents that add up to 100. One whose part rounds to nothing serves no longer; where nobody else serves,
    ``version`` gets all.
    """
    if not 1 <= share <= 100:
        raise SettingsError(f"a share of {share} percent: give 1 to 100")
    others = {number: part for number, part in current.items() if number != version}
    left, before = 100 - share, sum(others.values())
    if not others or not left:
        return {version: 100}
    # By largest remainder; of equals the newer version gets it.
    scaled = {number: part * left // before for number, part in others.items()}
    by_remainder = sorted(others, key=lambda number: (others[number] * left % before, number), reverse=True)
    for number in by_remainder[: left - sum(scaled.values())]:
        scaled[number] += 1
    return {version: share} | {number: part for number, part in sorted(scaled.items()) if part}


def rollback(storage: Storage, *, to: int | None = None, reason: str | None = None) -> Serving:
    """Gives all the traffic to version ``to``, or to the one that :func:`version_before` names.

    Serving ``to`` alone already changes nothing. Without ``to`` each call goes one version further back. Raises
    ``NotFoundError`` where there is nothing to go back to, or the version's model is gone.
    """

    def change(current: Serving | None) -> ServingChange | None:
        if current is None:
            raise NotFoundError(f"nothing was released yet in {storage.root}: there is nothing to roll back")
        target = to if to is not None else version_before(current)
        if target is None:
            raise NotFoundError(f"version {current.version} is the first that served: there is nothing to roll back to")
        check_model(storage, target)
        if current.traffic == {target: 100}:
            return None
        return ServingChange(at=now(), traffic={target: 100}, reason=reason or rollback_reason(current, target))

    return _change(storage, change)


def check_model(storage: Storage, version: int) -> None:
    """Raises ``NotFoundError`` for a version that isn't released, or whose model is gone."""
    read_release(storage, version)
    if next(storage.list(layout.model(version)), None) is None:
        raise NotFoundError(f"the model of version {version} is gone: {storage.uri(layout.model(version))} is empty")


def version_before(current: Serving) -> int | None:
    """The version that a rollback leads to; None for the first. While several share the traffic it is the champion;
    else the champion before the present one first was: going back twice never goes forward."""
    if len(current.traffic) > 1:
        return current.version
    first = current.champions.index(current.version)
    return current.champions[first - 1] if first else None


def rollback_reason(current: Serving, target: int) -> str:
    """Why ``target`` serves after a rollback, naming the versions that serve no longer."""
    others = ", ".join(str(version) for version in sorted(current.traffic) if version != target)
    return f"rolled back from version {others}"


def _read_serving(storage: Storage) -> tuple[Serving, str] | None:
    """The document and its generation."""
    for _ in range(_ATTEMPTS):
        try:
            generation = storage.stat(layout.SERVING).generation
        except NotFoundError:
            return None
        try:
            return Serving.from_json(storage.read(layout.SERVING, generation=generation)), generation
        except NotFoundError:
            continue  # changed between the two: look again
    raise ConflictError(f"{storage.uri(layout.SERVING)} changes all the time: try again later")


def _change(storage: Storage, decide: Callable[[Serving | None], ServingChange | None]) -> Serving:
    """Appends what ``decide`` makes of the present document; None changes nothing. Decides anew after a lost race."""
    for _ in range(_ATTEMPTS):
        found = _read_serving(storage)
        current, generation = found or (None, ABSENT)
        change = decide(current)
        if change is None:
            if current is None:
                raise NotFoundError(f"nothing was released yet in {storage.root}")
            return current
        wanted = Serving(history=[*(current.history if current else []), change])
        try:
            storage.write(layout.SERVING, wanted.to_json(), if_generation=generation)
        except ConflictError:
            continue
        return wanted
    raise ConflictError(f"{storage.uri(layout.SERVING)} changes all the time: try again later")
