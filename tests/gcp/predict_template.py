"""A predicted batch in the making, to be copied: ``python -m tests.gcp.predict_template``, in TFX's environment.

Below ``<storage>/template``: release 1, which serves, and a frozen batch with its instances written. Some samples are
predicted wrong, one can't be decoded.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ml import layout, releases
from ml.evaluation.reference import ReferencePredictions
from ml.freezing import freeze
from ml.prediction.instances import write_instances
from ml.records import ReleaseRecord, now
from ml.settings import Settings
from ml.storage import open_storage

RUN = "run"
SAMPLES = 40
CLASSES = ("bright", "dark")


def main(root: str) -> None:
    from tests.ml.prediction.conftest import export_model, picture

    storage = open_storage(root).child("template")
    with tempfile.TemporaryDirectory() as folder:
        export_model(folder)
        storage.publish(Path(folder), layout.model(1), marker="saved_model.pb")
    record = ReleaseRecord(
        version=1, run="first", window=[1], created=now(), metrics={}, classes=list(CLASSES), code="0"
    )
    releases.record_release(storage, record)
    reference = ReferencePredictions(predicted=dict.fromkeys(CLASSES, 20))
    storage.write(layout.release_reference(1), reference.to_json())
    releases.serve(storage, 1, "test")
    for number in range(SAMPLES):
        label = CLASSES[number % 2]
        storage.write(layout.inbox(f"{label}/{number}.png"), picture(number * 6))
    storage.write(layout.inbox("dark/broken.png"), b"no picture")
    settings = Settings(name="template", kind="image_classification")
    batch = freeze(storage, settings, RUN).id
    write_instances(storage, settings, batch, 1)


if __name__ == "__main__":
    main(sys.argv[1])
