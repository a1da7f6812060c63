"""What a batch prediction job on Vertex AI reads and writes, for tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from ml import layout
from ml.kinds.image_classification.serving import ImageClassifierServing
from ml.prediction.instances import write_instances
from ml.prediction.served import ServedModel
from ml.storage import Storage

Draw = Callable[..., bytes]

JOB = "prediction-light-2026-11-22T03:30:00.123456Z"


def fill(place: Any, draw: Draw, count: int) -> None:
    for number in range(count):
        bright = number % 2 == 0
        place.drop(f"{'bright' if bright else 'dark'}/{number}.png", draw(250 - number % 50 if bright else number % 50))


def given(storage: Storage, batch: str, names: list[str], version: int = 1) -> list[dict[str, Any]]:
    folder = layout.batch(batch, f"instances/{version}")
    return [json.loads(line) for name in names for line in storage.read(f"{folder}/{name}").splitlines()]


class Job:
    """What a job wrote of a batch, to be changed before it is written."""

    def __init__(self, place: Any, batch: str, *, name: str = JOB) -> None:
        self.storage = place.storage
        self.folder = layout.batch(batch, f"predictions/1/{name}")
        made = write_instances(place.storage, place.settings, batch, 1)
        lines = given(place.storage, batch, made.files)
        images = [base64.b64decode(line["image_bytes"]["b64"]) for line in lines]
        answers: list[Any] = ServedModel.of_release(place.storage, 1, ImageClassifierServing(1 << 20)).predict(images)
        self.results: list[dict[str, Any]] = [
            {"key": str(line["key"]), "prediction": {"label": answer.label, "probabilities": answer.probabilities}}
            for line, answer in zip(lines, answers, strict=True)
        ]
        self.errors: list[bytes] = []

    def write(self) -> str:
        lines = [json.dumps(line).encode() + b"\n" for line in self.results]
        half = len(lines) // 2
        self.storage.write(f"{self.folder}/prediction.results-00000-of-00002", b"".join(lines[half:]))
        self.storage.write(f"{self.folder}/prediction.results-00001-of-00002", b"".join(lines[:half]))
        self.storage.write(f"{self.folder}/prediction.errors_stats-00000-of-00001", b"".join(self.errors))
        return self.folder.rsplit("/", 1)[-1]
