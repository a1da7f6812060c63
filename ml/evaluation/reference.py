"""What a release was trained on: the distributions that drift is measured against."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from ml import layout
from ml.errors import DataError
from ml.evaluation.binning import Column
from ml.records import Record, ReleaseRecord
from ml.storage import Storage

if TYPE_CHECKING:
    from ml.evaluation.judging import Judge


class Evidence(Enum):
    """What amounts of labels are, and so how much they prove: COUNTS of samples with one label each; SHARES, which add
    up to 1 for each sample; UNKNOWN, where nobody can say whether chance gives as much."""

    COUNTS = "counts"
    SHARES = "shares"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Distributions:
    """How much there is of each label (samples or areas, say) and of each predicted label, and float32 columns of
    sample statistics by name (all of one length).

    ``evidence`` says what the amounts are. ``label_shares`` are float32 columns too: each sample's share of each label.
    """

    labels: dict[str, float]
    predicted: dict[str, float]
    statistics: dict[str, Column]
    evidence: Evidence = Evidence.UNKNOWN
    label_shares: Mapping[str, Column] = field(default_factory=dict)


class ReferencePredictions(Record):
    """``releases/<version>-reference.json``: how much of each label the release predicted on its window's eval split
    (how often, or what area in all, say)."""

    predicted: dict[str, float]


def read_reference(storage: Storage, release: ReleaseRecord, judge: Judge) -> Distributions:
    """The distributions in the window of ``release``, as ``judge`` sees them.

    Raises ``NotFoundError`` where the release or a span of its window has no statistics, ``DataError`` where they can't
    be read, or there is no window: without them, silence would pass for "no drift".
    """
    spans = [_read_span(storage, number) for number in release.window]
    if not spans:
        raise DataError(f"release {release.version} tells no window to measure drift against")
    columns = sorted(set.intersection(*(set(span) for span in spans)))
    name = layout.release_reference(release.version)
    try:
        predicted = ReferencePredictions.from_json(storage.read(name)).predicted
    except ValidationError as error:
        raise DataError(f"{storage.uri(name)} does not hold the release's predicted labels") from error
    return judge.reference({column: np.concatenate([span[column] for span in spans]) for column in columns}, predicted)


def statistics_of(columns: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Column]:
    """Those of a window's columns that are statistics of its samples."""
    return {name: np.asarray(column, np.float32) for name, column in columns.items() if name not in ("label", "split")}


def _read_span(storage: Storage, number: int) -> dict[str, npt.NDArray[np.generic]]:
    name = layout.span(number, layout.SPAN_STATISTICS)
    try:
        with np.load(io.BytesIO(storage.read(name)), allow_pickle=False) as archive:
            columns = {column: archive[column] for column in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{storage.uri(name)} can't be read: {error}") from error
    if "label" not in columns:
        raise DataError(f"{storage.uri(name)} has no column `label`")
    return columns
