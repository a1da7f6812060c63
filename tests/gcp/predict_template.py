"""A pipeline with a batch to predict: ``python -m tests.gcp.predict_template ROOT PIPELINE``, in TFX's environment.

Release 1, which serves, and a frozen batch with its instances written. Some samples are predicted wrong, one can't be
decoded.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import numpy as np

from ml import layout, releases
from ml.evaluation.reference import ReferencePredictions
from ml.freezing import freeze
from ml.kinds.images.statistics import STATISTICS, statistics_rows
from ml.prediction.instances import write_instances
from ml.records import ReleaseRecord, now
from ml.settings import Settings
from ml.storage import Storage, open_storage

RUN = "run"
SAMPLES = 40
CLASSES = ("bright", "dark")


def main(root: str, pipeline: str) -> None:
    from tests.ml.prediction.conftest import export_model, picture

    storage = open_storage(root).child(pipeline)
    with tempfile.TemporaryDirectory() as folder:
        export_model(folder)
        storage.publish(Path(folder), layout.model(1), marker="saved_model.pb")
    record = ReleaseRecord(
        version=1, run="first", window=[1], created=now(), metrics={}, classes=list(CLASSES), code="0"
    )
    releases.record_release(storage, record)
    reference = ReferencePredictions(predicted=dict.fromkeys(CLASSES, 20))
    storage.write(layout.release_reference(1), reference.to_json())
    _write_statistics(storage)
    releases.serve(storage, 1, "test")
    for number in range(SAMPLES):
        label = CLASSES[number % 2]
        storage.write(layout.inbox(f"{label}/{number}.png"), picture(number * 6))
    storage.write(layout.inbox("dark/broken.png"), b"no picture")
    settings = Settings(name=pipeline, kind="image_classification")
    batch = freeze(storage, settings, RUN).id
    write_instances(storage, settings, batch, 1)


def _write_statistics(storage: Storage) -> None:
    """Those of the span that the release was trained on."""
    images = [np.full((8, 8, 3), 6 * number, np.uint8) for number in range(SAMPLES)]
    columns = dict(zip(STATISTICS, statistics_rows(images).T, strict=True))
    labels = [CLASSES[number % 2] for number in range(SAMPLES)]
    archive = io.BytesIO()
    np.savez(archive, label=np.array(labels), split=np.full(SAMPLES, "train"), **columns)
    storage.write(layout.span(1, layout.SPAN_STATISTICS), archive.getvalue())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
