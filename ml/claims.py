"""Numbers that only grow (spans, model versions), each taken by exactly one owner."""

from __future__ import annotations

from ml import layout
from ml.errors import ConflictError
from ml.records import Claim, now
from ml.storage import ABSENT, Storage


def claim_number(storage: Storage, kind: str, *, by: str) -> int:
    """The number of ``kind`` ("spans", "models") that ``by`` holds, claiming the next free one on the first call.

    The first number is 1; a number is never given twice, and numbers are compared as numbers (9 < 10). A repeat with
    the same ``by`` (a retry of the same run) returns the same number. An owner that gives up leaves a hole, which no
    reader minds: windows name their spans.
    """
    while True:
        claimed = _claimed(storage, kind)
        held = _held(storage, claimed, by)
        if held is not None:
            return held
        number = max(claimed, default=0) + 1
        try:
            storage.write(layout.claim(kind, number), Claim(by=by, since=now()).to_json(), if_generation=ABSENT)
        except ConflictError:
            continue
        return number


def held_number(storage: Storage, kind: str, *, by: str) -> int | None:
    """The number of ``kind`` that ``by`` has claimed before, None where it has none. Claims nothing."""
    return _held(storage, _claimed(storage, kind), by)


def _claimed(storage: Storage, kind: str) -> dict[int, str]:
    return {
        int(stem): info.name
        for info in storage.list(f"claims/{kind}")
        if (stem := info.name.rsplit("/", 1)[-1].removesuffix(".json")).isdecimal()
    }


def _held(storage: Storage, claimed: dict[int, str], by: str) -> int | None:
    for number, name in sorted(claimed.items(), reverse=True):
        if Claim.from_json(storage.read(name)).by == by:
            return number
    return None
