"""A classifier of something other than images: is the sum of a row of numbers above zero?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ml.kinds.classification.answers import Answer
from ml.kinds.classification.base import Classification
from ml.kinds.kind import Collected, Inspected, Inspector, Refused, Serving
from ml.settings import Settings

CLASSES = ["above", "below"]


class RowInspector:
    """Knows of a row how long it is and its sum."""

    columns = ("length", "sum")

    def inspect(self, samples: Iterable[Collected | Refused]) -> Iterator[list[Inspected | Refused]]:
        for sample in samples:
            yield [sample if isinstance(sample, Refused) else self._inspected(sample)]

    def conflict(self, one: str, other: str) -> str:
        return f"the same row is {one} and {other}"

    def _inspected(self, sample: Collected) -> Inspected | Refused:
        [data], label = sample.objects, sample.label or ""
        try:
            numbers = [float(number) for number in data.split(b",")]
        except ValueError:
            return Refused("it is no row of numbers")
        statistics = np.array([len(numbers), sum(numbers)], np.float32).tobytes()
        return Inspected(sha256(data).digest(), label, label, example(data), statistics, (label,))


class RowServing:
    input = "row"
    outputs = frozenset({"label", "probabilities"})

    def refusal(self, data: bytes) -> Refused | None:
        return None if data else Refused("it is empty")

    def refusals(self, data: Sequence[bytes]) -> list[Refused | None]:
        return [self.refusal(one) for one in data]

    def memory(self, data: bytes) -> int:
        return len(data)

    def answers(self, outputs: Mapping[str, Any]) -> list[Any]:
        rows = zip(outputs["label"].numpy(), outputs["probabilities"].numpy(), strict=True)
        return [Answer(label.decode(), shares.tolist()) for label, shares in rows]


class Rows(Classification):
    extensions = ("csv",)
    collected_feature = "row"

    def inspector(self, settings: Settings) -> Inspector:
        return RowInspector()

    def serving(self, settings: Settings) -> Serving:
        return RowServing()


class Sums(tf.Module):
    """The model."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator,unused-ignore]
    def serve(self, row: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = tf.strings.to_number(tf.strings.split(row, ","))
        above = tf.sigmoid(tf.reduce_sum(numbers, axis=1))
        label = tf.where(above > 0.5, *CLASSES)
        return {"label": label, "probabilities": tf.stack([above, 1 - above], axis=1)}

    @tf.function(input_signature=[])  # type: ignore[untyped-decorator,unused-ignore]
    def vocabulary(self) -> dict[str, tf.Tensor]:
        return {"labels": tf.constant(CLASSES)}


def save(folder: Path) -> str:
    model = Sums()
    signatures = {"serving_default": model.serve, "vocabulary": model.vocabulary}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return str(folder)


def example(row: bytes, feature: str = "row") -> bytes:
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[row]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={feature: value})).SerializeToString())


def write_examples(folder: Path, examples: Sequence[bytes]) -> str:
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "data.gz"), tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for one in examples:
            writer.write(one)
    return str(folder)
