"""Numbers that only grow (spans, model versions), each taken by exactly one owner."""

from __future__ import annotations

import contextlib

from ml import layout
from ml.errors import ConflictError
from ml.parallel import map_ahead
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
        # Whether the write wins or loses, look again: two attempts of one run that overlap must agree on one number.
        with contextlib.suppress(ConflictError):
            storage.write(layout.claim(kind, number), Claim(by=by, since=now()).to_json(), if_generation=ABSENT)


def held_number(storage: Storage, kind: str, *, by: str) -> int | None:
    """The number of ``kind`` that ``by`` has claimed before, None where it has none. Claims nothing."""
    return _held(storage, _claimed(storage, kind), by)


def _claimed(storage: Storage, kind: str) -> dict[int, str]:
    stems = {info.name.rsplit("/", 1)[-1].removesuffix(".json"): info.name for info in storage.list(f"claims/{kind}")}
    return {int(stem): name for stem, name in stems.items() if stem.isascii() and stem.isdecimal()}


def _held(storage: Storage, claimed: dict[int, str], by: str) -> int | None:
    """The lowest, should an unlucky listing have let one owner claim two."""

    def owner(number: int) -> tuple[int, str]:
        return number, Claim.from_json(storage.read(claimed[number])).by

    return next((number for number, held_by in map_ahead(owner, sorted(claimed)) if held_by == by), None)
