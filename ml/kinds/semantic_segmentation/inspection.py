"""What span preparation needs to know of each image with its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.kinds.images.encoded import UnusableImageError, content_digest
from ml.kinds.images.samples import Decoded, decode_samples
from ml.kinds.images.statistics import STATISTICS, statistics_rows
from ml.kinds.kind import Collected, Inspected, Refused
from ml.kinds.semantic_segmentation.masks import Ids, check_mask, count_ids, decode_mask, encode_mask
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.labels import normal_label
from ml.settings import Settings

#: All images are one stratum: most show several classes.
_STRATUM = ""

_SHARE = "area share of "


def share_column(name: str) -> str:
    """The statistic that holds a class's share of the labelled area."""
    return f"{_SHARE}{name}"


def class_of_column(column: str) -> str | None:
    """The class whose area share the statistic holds, in its one form; None for the others."""
    return normal_label(column.removeprefix(_SHARE)) if column.startswith(_SHARE) else None


class MaskInspector:
    """An ``ml.kinds.kind.Inspector``. A sample's content is the image's canonical pixels, its truth the mask."""

    def __init__(self, settings: Settings) -> None:
        self._max_pixels = settings.data.max_sample_pixels
        self._model: SegmentationSettings = settings.model
        self.columns = (*STATISTICS, *map(share_column, self._model.names))

    def inspect(self, samples: Iterable[Collected | Refused]) -> Iterator[list[Inspected | Refused]]:
        for part in decode_samples(samples, self._max_pixels):
            masks = [self._mask(found) if isinstance(found, Decoded) else found for found in part]
            sound = [
                found.pixels
                for found, mask in zip(part, masks, strict=True)
                if isinstance(found, Decoded) and not isinstance(mask, Refused)
            ]
            rows = iter(statistics_rows(sound))
            yield [
                self._inspected(found, mask, next(rows))
                if isinstance(found, Decoded) and not isinstance(mask, Refused)
                else Refused(mask)
                for found, mask in zip(part, masks, strict=True)
            ]

    def conflict(self, one: str, other: str) -> str:
        return "the same picture has two different masks: keep the right one"

    def _mask(self, found: Decoded) -> Ids | Refused:
        try:
            mask = decode_mask(found.sample.objects[1], self._max_pixels)
            check_mask(mask, found.pixels.shape[:2], self._model.ids, self._model.ignore_index)
        except UnusableImageError as reason:
            return Refused(reason)
        if np.all(mask == self._model.ignore_index):
            return Refused("the mask labels no pixel: all are ignored")
        return mask

    def _inspected(self, found: Decoded, mask: Ids, row: npt.NDArray[np.float32]) -> Inspected:
        canonical = encode_mask(mask)
        areas = count_ids(mask)[self._model.ids]
        shares = (areas / areas.sum()).astype(np.float32)
        return Inspected(
            content=content_digest(found.pixels),
            truth=hashlib.sha256(mask.tobytes()).hexdigest(),
            stratum=_STRATUM,
            example=encode_example(found.sample.objects[0], canonical),
            statistics=np.concatenate([row, shares]).tobytes(),
            classes=tuple(name for name, area in zip(self._model.names, areas, strict=True) if area),
        )


def encode_example(image: bytes, mask: bytes) -> bytes:
    """A serialized tf.train.Example with the features ``image`` (as collected) and ``mask`` (canonical)."""
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in (("image", image), ("mask", mask))
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))
