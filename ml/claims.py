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
        claimed = {
            int(stem): info.name
            for info in storage.list(f"claims/{kind}")
            if (stem := info.name.rsplit("/", 1)[-1].removesuffix(".json")).isdecimal()
        }
        for number, name in sorted(claimed.items(), reverse=True):
            if Claim.from_json(storage.read(name)).by == by:
                return number
        number = max(claimed, default=0) + 1
        try:
            storage.write(layout.claim(kind, number), Claim(by=by, since=now()).to_json(), if_generation=ABSENT)
        except ConflictError:
            continue
        return number
