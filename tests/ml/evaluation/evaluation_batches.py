"""Batches with predictions for the tests of evaluation, written as the other steps write them."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml import layout
from ml.batches import write_lines
from ml.evaluation.reference import ReferencePredictions
from ml.kinds.classification.answers import Answer
from ml.kinds.images.encoded import content_digest
from ml.kinds.images.statistics import STATISTICS, statistics_rows
from ml.prediction.documents import Predictions, write_predictions
from ml.prediction.lines import Failure, Instance, Line, encode_lines
from ml.records import Batch, ManifestEntry, ReleaseRecord, now
from ml.spans.truths import truth_digest
from ml.storage import Storage, open_storage

CLASSES = ("a", "b", "c")
BATCH = "batch-0123abcd"
BROKEN = Failure(3, "can't be decoded")


@dataclass(frozen=True)
class Sample:
    """``predicted`` None: the prediction failed. ``label`` None: refused at the freeze. Samples of one ``picture`` show
    the same in different bytes; None: this one has a picture of its own."""

    label: str | None
    predicted: str | None
    probability: float = 0.9
    brightness: int = 100
    picture: int | None = None


#: Where the tests' Vertex job has put its predictions.
JOB = f"batches/{BATCH}/predictions/1/prediction-p-2026-11-22T03:30:00.123456Z"


@dataclass
class World:
    """A pipeline's storage with one release, trained on span 1, and one predicted batch."""

    storage: Storage
    classes: Sequence[str] = CLASSES
    lines: list[Line] = field(default_factory=list)

    def predicted_by_a_job(self, *shards: list[Line], failed: list[Line]) -> None:
        """Writes ``shards`` as the results of a job on Vertex AI, which has no line for the ``failed`` samples."""
        for number, lines in enumerate(shards):
            name = f"{JOB}/prediction.results-{number:05}-of-{len(shards):05}"
            self.storage.write(name, b"".join(map(keyed_line, lines)))
        self.predictions(lines=failed)
        record = Predictions(version=1, predicted=sum(map(len, shards)), failed=len(failed), folder=JOB)
        write_predictions(self.storage, BATCH, record)

    def trained_on(
        self, pictures: Sequence[int], *, evaluated_on: Sequence[int] = (), span: int = 1, label: str | None = None
    ) -> None:
        """Writes what ``span`` holds: these pictures in its train split, and others in its eval split; their ``label``,
        None for a span that was prepared before truths were recorded."""
        truth = None if label is None else truth_digest(label)
        splits = [*((picture, "train") for picture in pictures), *((picture, "eval") for picture in evaluated_on)]
        samples = [
            {"object": f"{picture}.png", "generation": "1", "fate": split, "content": _content(picture), "truth": truth}
            for picture, split in splits
        ]
        lines = "".join(json.dumps(sample) + "\n" for sample in samples)
        self.storage.write(layout.span(span, layout.SPAN_SAMPLES), gzip.compress(lines.encode()))

    def predictions(self, name: str = layout.PREDICTIONS, lines: list[Line] | None = None) -> None:
        """Writes ``lines`` (all, unless given) as the batch's predictions."""
        self.storage.write(layout.batch(BATCH, name), encode_lines(self.lines if lines is None else lines))


def world(
    folder: Path,
    samples: Sequence[Sample],
    *,
    classes: Sequence[str] = CLASSES,
    trained: dict[str, int] | None = None,
    predicted: dict[str, int] | None = None,
    brightness: int = 100,
    pictures: bool = True,
) -> World:
    """Storage in ``folder``: by default the release saw each class equally often, on images of about ``brightness``."""
    here = World(open_storage(f"file://{folder}"), classes)
    trained = trained or dict.fromkeys(classes, 20)
    labels = np.array([label for label, count in trained.items() for _ in range(count)])
    columns = statistics_rows([_pixels(brightness, seed) for seed in range(len(labels))])
    out = io.BytesIO()
    np.savez(out, label=labels, split=np.full(len(labels), "train"), **dict(zip(STATISTICS, columns.T, strict=True)))
    here.storage.write(layout.span(1, layout.SPAN_STATISTICS), out.getvalue())
    release = ReleaseRecord(
        version=1, run="run", window=[1], created=now(), metrics={"accuracy": 0.97}, classes=list(classes), code="0"
    )
    here.storage.write(layout.release(1), release.to_json())
    reference = ReferencePredictions(predicted=predicted or dict.fromkeys(classes, 5))
    here.storage.write(layout.release_reference(1), reference.to_json())
    _freeze(here, samples, pictures)
    here.predictions()
    failed = sum(line.error is not None for line in here.lines)
    write_predictions(here.storage, BATCH, Predictions(version=1, predicted=len(here.lines) - failed, failed=failed))
    return here


def keyed_line(line: Line, *, key: object = None) -> bytes:
    """The line as a job on Vertex AI writes it: a key (as text) in place of the instance, and float32 numbers."""
    document = json.loads(encode_lines([line]))
    instance = document.pop("instance")
    if "prediction" in document:
        shares = document["prediction"]["probabilities"]
        document["prediction"]["probabilities"] = [float(str(np.float32(share))) for share in shares]
    return json.dumps({"key": str(instance["key"]) if key is None else key, **document}).encode() + b"\n"


def right(count: int, **how: int) -> list[Sample]:
    """``count`` samples predicted right, of all classes in turn."""
    return [Sample(CLASSES[number % 3], CLASSES[number % 3], **how) for number in range(count)]


def wrong(count: int, **how: int) -> list[Sample]:
    """``count`` samples predicted wrong, of all classes in turn."""
    return [Sample(CLASSES[number % 3], CLASSES[(number + 1) % 3], **how) for number in range(count)]


def _freeze(here: World, samples: Sequence[Sample], pictures: bool) -> None:
    entries = []
    for index, sample in enumerate(samples):
        name = f"{sample.label or 'refused'}/{index}.png"
        generation, size = "1", 1
        if pictures:
            out = io.BytesIO()
            seed = index if sample.picture is None else sample.picture
            Image.fromarray(_pixels(sample.brightness, seed)).save(out, "PNG", compress_level=index % 10)
            written = here.storage.write(layout.inbox(name), out.getvalue())
            generation, size = written.generation, written.size
        entries.append(
            ManifestEntry(
                index=index,
                object=name,
                generation=generation,
                size=size,
                crc32c="AAAAAA==",
                label=sample.label,
                refused=None if sample.label is not None else "too large",
            )
        )
        if sample.label is None:
            continue
        instance = Instance(index, name, generation)
        if sample.predicted is None:
            here.lines.append(Line(instance, error=BROKEN))
            continue
        rest = (1 - sample.probability) / max(len(here.classes) - 1, 1)
        probabilities = [sample.probability if label == sample.predicted else rest for label in here.classes]
        here.lines.append(Line(instance, prediction=Answer(sample.predicted, probabilities)))
    random.Random(4).shuffle(here.lines)
    write_lines(here.storage, layout.batch(BATCH, layout.MANIFEST), entries)
    refused = sum(sample.label is None for sample in samples)
    record = Batch(id=BATCH, pipeline="p", frozen=now(), samples=len(samples) - refused, refused=refused)
    here.storage.write(layout.batch(BATCH, layout.BATCH), record.to_json())


def _content(picture: int) -> str:
    return content_digest(_pixels(100, picture)).hex()


def _pixels(brightness: int, seed: int) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 12, (8, 8, 3))
    return np.clip(brightness + noise, 0, 255).astype(np.uint8)
