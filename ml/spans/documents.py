"""What a published span tells of itself. Light."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from ml import layout
from ml.errors import NotFoundError
from ml.records import Span, SpanSample
from ml.spans.assignment import Split
from ml.spans.columns import decode_columns
from ml.spans.contents import Contents, contents_of
from ml.spans.damage import RESTORE, TRAIN_WITHOUT, DamagedSpanError, DamageError, damage_in
from ml.storage import Storage
from ml.windows import complete_spans

Columns = dict[str, npt.NDArray[np.generic]]


def read_span(storage: Storage, number: int) -> Span:
    """The record of a complete span. Raises ``NotFoundError`` naming those that there are, and ``DamagedSpanError``."""
    try:
        return Span.from_json(storage.read(layout.span(number, layout.SPAN)))
    except NotFoundError:
        known = ", ".join(map(str, complete_spans(storage)[-10:])) or "none"
        raise NotFoundError(f"there is no complete span {number} in {storage.root}; found: {known}") from None
    except ValidationError as error:
        raise DamagedSpanError(number, layout.SPAN, _first(error), TRAIN_WITHOUT) from error


def list_spans(storage: Storage) -> list[Span]:
    """Every complete span, in the order of their numbers."""
    return [read_span(storage, number) for number in complete_spans(storage)]


def read_samples(storage: Storage, number: int) -> Iterator[SpanSample]:
    """What became of each sample of the span's batch, in the manifest's order, streamed.

    Raises ``DamagedSpanError``.
    """
    name = layout.SPAN_SAMPLES
    with damage_in(number, name, RESTORE), storage.open(layout.span(number, name)) as stream:
        try:
            with gzip.open(stream) as lines:
                for line in lines:
                    yield SpanSample.model_validate_json(line)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DamageError(str(error)) from error
        except ValidationError as error:
            raise DamageError(_first(error)) from error


def read_contents(storage: Storage, number: int, advice: str) -> Mapping[Split, Contents]:
    """The contents of each of the span's splits. Raises ``DamagedSpanError`` with ``advice``."""
    name = layout.SPAN_SAMPLES
    with damage_in(number, name, advice), storage.open(layout.span(number, name)) as stream:
        return contents_of(stream)


def read_columns(storage: Storage, number: int, advice: str) -> Columns:
    """The span's statistics: columns of one length, a row for each example, those in train first, each split in the
    order of its files. ``label`` and ``split`` stand beside the kind's. Raises ``DamagedSpanError`` with ``advice``,
    and ``NotFoundError`` if there are none."""
    name = layout.SPAN_STATISTICS
    data = storage.read(layout.span(number, name))
    try:
        columns = decode_columns(data)
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DamagedSpanError(number, name, str(error), advice) from error
    if "label" not in columns:
        raise DamagedSpanError(number, name, "it has no column `label`", advice)
    return columns


def _first(error: ValidationError) -> str:
    return str(error.errors(include_url=False)[0]["msg"])
