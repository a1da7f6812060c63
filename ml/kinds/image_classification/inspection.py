"""What span preparation needs to know of a labelled image: whether it decodes, what it shows, and what it is like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from ml.kinds.classification.examples import encode_example
from ml.kinds.image_classification.kind import ImageClassification
from ml.kinds.images.encoded import content_digest
from ml.kinds.images.samples import Decoded, decode_samples
from ml.kinds.images.statistics import STATISTICS, statistics_rows
from ml.kinds.kind import Collected, Inspected, Refused


class ImageInspector:
    """An ``ml.kinds.kind.Inspector``. An image's content is its canonical pixels; its label is the truth, the stratum
    and the one class."""

    columns = STATISTICS

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def inspect(self, samples: Iterable[Collected | Refused]) -> Iterator[list[Inspected | Refused]]:
        for part in decode_samples(samples, self._max_pixels):
            rows = iter(statistics_rows([found.pixels for found in part if isinstance(found, Decoded)]))
            yield [_inspected(found, next(rows)) if isinstance(found, Decoded) else found for found in part]

    def conflict(self, one: str, other: str) -> str:
        return f"the same picture lies under the labels {one!r} and {other!r}: keep it under one"


def _inspected(found: Decoded, row: npt.NDArray[np.float32]) -> Inspected:
    label = found.sample.label or ""
    return Inspected(
        content=content_digest(found.pixels),
        truth=label,
        stratum=label,
        example=encode_example(ImageClassification.collected_feature, found.sample.objects[0], label),
        statistics=row.tobytes(),
        classes=(label,),
    )
