"""A pipeline of small scenes in storage of the test's own: three classes, images and masks drawn by hand."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ml import layout, releases
from ml.batches import read_manifest
from ml.evaluation.reference import ReferencePredictions
from ml.freezing import freeze
from ml.kinds.semantic_segmentation.masks import encode_mask
from ml.kinds.semantic_segmentation.serving import Answer, Encoded
from ml.kinds.semantic_segmentation.settings import SegmentationClass, SegmentationSettings
from ml.prediction.documents import Predictions, write_predictions
from ml.prediction.lines import Failure, Line, encode_lines
from ml.prediction.samples import instance_of
from ml.records import Batch, ReleaseRecord, now
from ml.settings import Settings
from ml.settings_sections import DataSettings, EvaluationSettings
from ml.storage import Storage

CLASSES = ("ground", "tree", "house")
MODEL = SegmentationSettings(
    classes=(
        SegmentationClass(id=0, name="ground", colour="#102030"),
        SegmentationClass(id=7, name="tree", colour="#00ff00"),
        SegmentationClass(id=3, name="house", colour="#ff0000"),
    ),
    ignore_index=255,
)
IDS = MODEL.ids
IGNORED = 255


def scene_settings(**evaluation: Any) -> Settings:
    return Settings(
        name="scenes",
        kind="semantic_segmentation",
        data=DataSettings(max_refused_share=0.5),
        evaluation=EvaluationSettings(**{"min_samples": 4, "min_evaluated": 4, "threshold": 0.7, **evaluation}),
        model=MODEL,
    )


def picture(seed: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def mask(seed: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array(IDS, np.uint8), (height, width))


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def put(storage: Storage, name: str, image: bytes | None, true_mask: bytes | None) -> None:
    if image is not None:
        storage.write(layout.inbox(f"images/{name}.png"), image)
    if true_mask is not None:
        storage.write(layout.inbox(f"masks/{name}.png"), true_mask)


def put_scenes(storage: Storage, seeds: Sequence[int]) -> None:
    for seed in seeds:
        put(storage, f"scene-{seed:03}", encoded(picture(seed)), encode_mask(mask(seed)))


def answer(predicted: np.ndarray, confidence: float = 0.9) -> Answer:
    shares = [float(np.mean(predicted == number)) for number in IDS]
    return Answer(Encoded(encode_mask(predicted.astype(np.uint8))), shares, confidence)


def release(storage: Storage, window: Sequence[int] = (1,), classes: Sequence[str] = CLASSES) -> ReleaseRecord:
    """Version 1, which serves."""
    record = ReleaseRecord(
        version=1, run="first", window=list(window), created=now(), metrics={}, classes=list(classes), code="0"
    )
    storage.write(f"{layout.model(1)}/saved_model.pb", b"not asked here")
    storage.write(layout.release_reference(1), ReferencePredictions(predicted=dict.fromkeys(classes, 1.0)).to_json())
    releases.record_release(storage, record)
    releases.serve(storage, 1, "test")
    return record


def frozen(storage: Storage, settings: Settings, run: str = "run") -> Batch:
    return freeze(storage, settings, run)


def predict_as(storage: Storage, batch: str, given: Mapping[str, Answer | str]) -> None:
    """Writes predictions: the answer to each sample by its id, or why there is none."""
    lines = []
    for entry in read_manifest(storage, batch):
        if entry.refused is None:
            said = given[entry.object.removeprefix("images/").removesuffix(".png")]
            if isinstance(said, str):
                lines.append(Line(instance_of(entry), error=Failure(3, said)))
            else:
                lines.append(Line(instance_of(entry), prediction=said))
    storage.write(layout.batch(batch, layout.PREDICTIONS), encode_lines(lines))
    failed = sum(line.prediction is None for line in lines)
    write_predictions(storage, batch, Predictions(version=1, predicted=len(lines) - failed, failed=failed))
