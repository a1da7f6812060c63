"""Files of a span that can't be what was published."""

from __future__ import annotations

from ml.errors import DataError


class DamageError(ValueError):
    """A file's content is not what was written: what is wrong, without the file's name."""


class DamagedSpanError(DataError):
    """A file of a span is damaged or gone. The message names the span and the file, and the ways out; ``damage`` is
    its first part, without them."""

    def __init__(self, span: int, file: str, why: str) -> None:
        self.damage = f"span {span}'s {file} is damaged ({' '.join(why.split())})"
        super().__init__(
            f"{self.damage}: restore it from a backup, or train without the span, with --window and the numbers of the "
            "others"
        )
