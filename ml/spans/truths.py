"""The truths of contents, as far as spans remember them, and what a window leaves out since a truth is newer."""

from __future__ import annotations

import hashlib

from ml.records import Record

#: The size of a truth's digest.
TRUTH_BYTES = 8


def truth_digest(truth: str) -> str:
    """The first 8 bytes (hex) of the SHA-256 of a truth as ``ml.kinds.kind.Inspected`` has it."""
    return hashlib.sha256(truth.encode()).hexdigest()[: 2 * TRUTH_BYTES]


class LeftOut(Record):
    """Examples that a window leaves out since a later span of it holds the same content again.

    ``corrected``: under another truth; ``repeated``: under the same one; ``unknown``: one of the two spans was prepared
    before truths were recorded.
    """

    corrected: int = 0
    repeated: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        return self.corrected + self.repeated + self.unknown

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(
            corrected=self.corrected + other.corrected,
            repeated=self.repeated + other.repeated,
            unknown=self.unknown + other.unknown,
        )

    def __str__(self) -> str:
        parts = {
            "under a corrected truth": self.corrected,
            "under the same truth": self.repeated,
            "from before truths were recorded": self.unknown,
        }
        return ", ".join(f"{count} {name}" for name, count in parts.items() if count) or "none"
