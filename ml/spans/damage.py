"""Files of a span that can't be what was published."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ml.errors import DataError, NotFoundError

RESTORE = "restore it from a backup"
#: What to do where a run is prepared or goes on.
TRAIN_WITHOUT = f"{RESTORE}, or train without the span, with --window and the numbers of the others"
#: What to do where a release is judged by what it was trained on.
RELEASE_WITHOUT = f"{RESTORE}, or release a version that is trained without the span"


class DamageError(ValueError):
    """A file's content is not what was written: what is wrong, without the file's name."""


class DamagedSpanError(DataError):
    """A file of a span is damaged or gone. The message names the span and the file, and what to do; ``damage`` is its
    first part, without what to do."""

    def __init__(self, span: int, file: str, why: str, advice: str) -> None:
        self.damage = f"span {span}'s {file} is damaged ({' '.join(why.split())})"
        super().__init__(f"{self.damage}: {advice}")


@contextlib.contextmanager
def damage_in(span: int, file: str, advice: str = TRAIN_WITHOUT) -> Iterator[None]:
    """Raises a ``DamageError`` or ``NotFoundError`` of the reading within as ``DamagedSpanError``."""
    try:
        yield
    except DamageError as error:
        raise DamagedSpanError(span, file, str(error), advice) from error
    except NotFoundError as error:
        raise DamagedSpanError(span, file, "it is missing", advice) from error
