"""What a release was trained on: the distributions that drift is measured against."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from ml import layout
from ml.errors import DataError
from ml.records import Record, ReleaseRecord
from ml.storage import Storage

Column = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Distributions:
    """Label counts, predicted-label counts, and float32 columns of sample statistics by name (all of one length)."""

    labels: dict[str, int]
    predicted: dict[str, int]
    statistics: dict[str, Column]


class ReferencePredictions(Record):
    """``releases/<version>-reference.json``: how often the release predicted each label on its window's eval split."""

    predicted: dict[str, int]


def read_reference(storage: Storage, release: ReleaseRecord) -> Distributions:
    """The distributions in the window of ``release``.

    Raises ``NotFoundError`` where the release or a span of its window has no statistics, ``DataError`` where they can't
    be read: without them, silence would pass for "no drift".
    """
    spans = [_read_span(storage, number) for number in release.window]
    columns = sorted(set.intersection(*(set(span) for span in spans)) - {"label", "split"}) if spans else []
    labels: Counter[str] = Counter()
    for span in spans:
        names, counts = np.unique(span["label"], return_counts=True)
        labels.update(dict(zip(names.tolist(), counts.tolist(), strict=True)))
    name = layout.release_reference(release.version)
    try:
        predicted = ReferencePredictions.from_json(storage.read(name)).predicted
    except ValidationError as error:
        raise DataError(f"{storage.uri(name)} does not hold the release's predicted labels") from error
    return Distributions(
        labels=dict(labels),
        predicted=predicted,
        statistics={column: np.concatenate([span[column] for span in spans]) for column in columns},
    )


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
