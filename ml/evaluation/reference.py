"""What a release was trained on: the distributions that drift is measured against."""

from __future__ import annotations

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
from ml.spans.assignment import Split
from ml.spans.contents import Superseded
from ml.spans.damage import RELEASE_WITHOUT
from ml.spans.documents import Columns, read_columns
from ml.spans.window_contents import rows_left_out, superseded_in
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
    """The distributions in the window of ``release``, as ``judge`` sees them: each content once, as the newest span has
    it.

    Raises ``NotFoundError`` where the release or a span of its window has no statistics, ``DataError`` where they can't
    be read, or there is no window: without them, silence would pass for "no drift".
    """
    if not release.window:
        raise DataError(f"release {release.version} tells no window to measure drift against")
    older = superseded_in(storage, release.window, RELEASE_WITHOUT)
    spans = [_read_span(storage, number, older.get(number)) for number in release.window]
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


def _read_span(storage: Storage, number: int, older: Mapping[Split, Superseded] | None) -> Columns:
    """The span's columns, without the rows of the examples that ``older`` marks."""
    columns = read_columns(storage, number, RELEASE_WITHOUT)
    if older is None:
        return columns
    kept = ~rows_left_out(number, older, len(columns["label"]), RELEASE_WITHOUT)
    return {name: column[kept] for name, column in columns.items()}
