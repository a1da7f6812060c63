"""(e) The evaluation of a million predictions against a plain loop of ``json.loads``.

The peer is what the prior art does: each line of the predictions through ``json.loads``, the predicted label compared
to the one in the object's name, the right ones counted. Ours goes as far, to the accuracy, and does more: joins the
manifest, checks that each sample has one prediction, counts each pair of labels, keeps the worst mistakes. What comes
after (drift, 2,000 decoded images, the report) takes the same few seconds for a batch of any size, and the peer has
none of it; the whole is in the detail.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.pictures import digits, write_inbox
from benchmarks.result import Result
from ml import layout
from ml.errors import NotFoundError
from ml.evaluation.reference import ReferencePredictions
from ml.prediction.documents import Predictions, write_predictions
from ml.records import Batch, ReleaseRecord, now
from ml.settings import Settings
from ml.storage import Storage, open_storage

PREDICTIONS = 1_000_000
FEWER = 100_000
WARM = 1_000
ROUNDS = 3
PICTURES = 2_000
ACCURACY = 0.93
CLASSES = [str(number) for number in range(10)]
SETTINGS = Settings(name="benchmark", kind="image_classification")


def measure() -> Iterator[Result]:
    """The one result, in predictions per second, with the peak memory of ever larger batches."""
    from ml.evaluation.evaluate import evaluate
    from ml.kinds.classification.reading import read_outcomes
    from ml.kinds.classification.scores import score

    ours, peer = [], []
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        storage = open_storage(f"file://{folder}/storage").child("benchmark")
        _train(storage)
        for count in (WARM, FEWER, PREDICTIONS):
            _predict(storage, count)
        evaluate(storage, SETTINGS, _batch(WARM))  # both start warm
        _count_right(storage, WARM)
        for _ in range(ROUNDS):
            seconds = time.perf_counter()
            right = _count_right(storage, PREDICTIONS)
            peer.append(PREDICTIONS / (time.perf_counter() - seconds))
            seconds = time.perf_counter()
            counts = score(read_outcomes(storage, _batch(PREDICTIONS), CLASSES), 0.95, 1.0).counts
            ours.append(PREDICTIONS / (time.perf_counter() - seconds))
            if counts.correct != right:
                raise AssertionError(f"the peer counts {right} right, the evaluation {counts.correct}")
        seconds = time.perf_counter()
        evaluate(storage, SETTINGS, _batch(PREDICTIONS))
        whole = time.perf_counter() - seconds
        memory = {str(count): _peak_memory(Path(folder), count) for count in (FEWER, PREDICTIONS)}
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    yield Result(
        name="evaluation of a million predictions",
        ours=statistics.median(ours),
        peer=statistics.median(peer),
        ratio=statistics.median(ratios),
        unit="predictions/s",
        bound=">= 3",
        detail={"ratios": ratios, "ours": ours, "peer": peer, "with_report_seconds": whole, "peak_memory_mib": memory},
    )


def _count_right(storage: Storage, count: int) -> int:
    right = 0
    with Path(storage.uri(layout.batch(_batch(count), layout.PREDICTIONS))).open(encoding="utf-8") as lines:
        for line in lines:
            parsed = json.loads(line)
            right += parsed["prediction"]["label"] == parsed["instance"]["object"].split("/")[0]
    return right


def _peak_memory(folder: Path, count: int) -> float:
    """Peak memory in MiB of a process of its own that evaluates ``count`` predictions."""
    command = [sys.executable, "-m", "benchmarks.evaluation", str(folder), str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _evaluate_alone(folder: str, count: int) -> float:
    from ml.evaluation.evaluate import evaluate

    storage = open_storage(f"file://{folder}/storage").child("benchmark")
    _forget_report(storage, count)
    evaluate(storage, SETTINGS, _batch(count))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forget_report(storage: Storage, count: int) -> None:
    with contextlib.suppress(NotFoundError):
        storage.delete(layout.batch(_batch(count), layout.REPORT_JSON))


def _batch(count: int) -> str:
    return f"benchmark-{count:08d}"


def _train(storage: Storage) -> None:
    """A release with its reference, and the pictures that the batches name again and again."""
    from ml.kinds.images.statistics import STATISTICS, statistics_rows

    images, labels = digits(PICTURES)
    write_inbox(Path(storage.uri(layout.INBOX)), images, labels)
    columns = dict(zip(STATISTICS, statistics_rows(list(images)).T, strict=True))
    archive = io.BytesIO()
    np.savez(archive, label=np.array(labels), split=np.full(len(labels), "train"), **columns)
    storage.write(layout.span(1, layout.SPAN_STATISTICS), archive.getvalue())
    release = ReleaseRecord(version=1, run="r", window=[1], created=now(), metrics={}, classes=CLASSES, code="0")
    storage.write(layout.release(1), release.to_json())
    storage.write(layout.release_reference(1), ReferencePredictions(predicted=dict.fromkeys(CLASSES, 40)).to_json())


def _predict(storage: Storage, count: int) -> None:
    """A batch of ``count`` samples, predicted in an order of their own."""
    _, labels = digits(PICTURES)
    names = [f"{label}/{number}.png" for number, label in enumerate(labels)]
    generations = [storage.stat(layout.inbox(name)).generation for name in names]
    random = np.random.default_rng(20)
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        manifest, predictions = Path(folder) / "manifest", Path(folder) / "predictions"
        with manifest.open("w", encoding="utf-8") as lines:
            for index in range(count):
                picture = index % PICTURES
                entry = {"index": index, "object": names[picture], "generation": generations[picture], "size": 3000}
                lines.write(json.dumps({**entry, "crc32c": "AAAAAA==", "label": labels[picture]}) + "\n")
        with predictions.open("w", encoding="utf-8") as lines:
            for index in random.permutation(count).tolist():
                picture = index % PICTURES
                probabilities = np.round(random.dirichlet(np.ones(10)), 7).tolist()
                label = labels[picture] if random.random() < ACCURACY else CLASSES[int(random.integers(10))]
                instance = {"key": index, "object": names[picture], "generation": generations[picture]}
                answer = {"label": label, "probabilities": probabilities}
                lines.write(json.dumps({"instance": instance, "prediction": answer}) + "\n")
        storage.upload(manifest, layout.batch(_batch(count), layout.MANIFEST))
        storage.upload(predictions, layout.batch(_batch(count), layout.PREDICTIONS))
    record = Batch(id=_batch(count), pipeline="benchmark", frozen=now(), samples=count, refused=0)
    storage.write(layout.batch(record.id, layout.BATCH), record.to_json())
    write_predictions(storage, record.id, Predictions(version=1, predicted=count, failed=0))


if __name__ == "__main__":
    sys.stdout.write(f"{_evaluate_alone(sys.argv[1], int(sys.argv[2])):.1f}\n")
