"""(h) What storage on ``gs://`` does, against the Google provider's sensor, hook and operator, at 20 ms per request.

The bucket is the loopback cloud's, in another process. Both sides are in one process, with the same credentials, and
take turns; each keeps its client from round to round. That cloud answers several requests at once more slowly than
Google does, which is to the disadvantage of ours. What is compared:

* *Are there enough samples?* Ours: ``ml.inbox.count`` up to the threshold. The peer: a poke of
  ``GCSUploadSessionCompleteSensor`` with that threshold as ``min_objects``, which lists the whole prefix, as
  ``GCSHook.list`` and all that is made of it do.
* *The next free number.* Ours: ``ml.claims.claim_number`` by a run that has none. The peer: ``GCSHook.list``, then
  ``download`` of each claim to see whose it is, then ``exists`` and ``upload`` of the next; two runs at once may both
  get it.
* *The open batch.* Ours: a write on condition that there is none. The peer: ``GCSHook.exists``, then ``upload``; again
  two may both do so.
* *A folder of 200 files.* Ours: ``GcsStorage.publish``, by which it appears at once. The peer:
  ``LocalFilesystemToGCSOperator``, by which it appears file by file.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.elsewhere import BUCKET, client, cloud, elsewhere, environment
from benchmarks.result import Result
from ml import layout
from ml.claims import claim_number
from ml.inbox import count
from ml.kinds.image_classification.kind import KIND
from ml.parallel import map_ahead
from ml.records import Claim, OpenBatch, now
from ml.storage import ABSENT, open_storage

REQUEST_SECONDS = 0.020
ROUNDS = 5
SAMPLES = 5_000
THRESHOLD = 1_000
CLAIMS = 20
FILES = 200
FILE_BYTES = 10_000

_MARKER = "record.json"

#: Seconds of each round: (ours, the peer's).
Rounds = list[tuple[float, float]]


def measure() -> Iterator[Result]:
    """All in seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="respan-bench-") as folder,
        elsewhere(cloud, Path(folder), REQUEST_SECONDS) as running,
        elsewhere(_sides, running.call(environment)) as sides,
    ):
        inbox = sides.call(Sides.enough_samples)
        claims = sides.call(Sides.next_number)
        hold = sides.call(Sides.open_batch)
        folders = sides.call(Sides.folder)
    yield _result(f"enough samples of {SAMPLES:,} on gs://", inbox, "<= 0.4", samples=SAMPLES, threshold=THRESHOLD)
    yield _result("claim of a number on gs://", claims, "<= 0.7", claims=CLAIMS)
    yield _result("claim of the open batch on gs://", hold, "<= 0.7")
    yield _result(f"publishing {FILES} files on gs://", folders, "<= 1", files=FILES, file_bytes=FILE_BYTES)


def _result(name: str, rounds: Rounds, bound: str, **sizes: int) -> Result:
    ours, peer = ([*side] for side in zip(*rounds, strict=True))
    ratios = [one / other for one, other in rounds]
    return Result(
        name=f"{name}, 20 ms per request",
        ours=statistics.median(ours),
        peer=statistics.median(peer),
        ratio=statistics.median(ratios),
        unit="s",
        bound=bound,
        detail={"request_seconds": REQUEST_SECONDS, **sizes, "ratios": ratios, "ours": ours, "peer": peer},
    )


class Sides:
    """Respan's storage below ``ours`` in the bucket, and the Google provider's hook, which works below ``peer``."""

    def __init__(self, folder: Path) -> None:
        from airflow.providers.google.cloud.hooks.gcs import GCSHook
        from respan.google_credentials import use_connection

        use_connection()
        self._folder = folder
        self._bucket = open_storage(f"gs://{BUCKET}")
        self._storage = self._bucket.child("ours")
        self._hook = GCSHook()

    def enough_samples(self) -> Rounds:
        from airflow.providers.google.cloud.sensors.gcs import GCSUploadSessionCompleteSensor

        names = [layout.inbox(f"{number % 10}/{number:06}.png") for number in range(SAMPLES)]
        for _ in map_ahead(lambda name: self._storage.write(name, b"a sample"), names):
            pass
        sensor = GCSUploadSessionCompleteSensor(
            task_id="enough",
            bucket=BUCKET,
            prefix=f"ours/{layout.INBOX}/",
            min_objects=THRESHOLD,
            inactivity_period=0,
        )
        sensor.poke({})  # it never says yes at once

        def ours(_: int) -> None:
            _must_be(count(self._storage, KIND, THRESHOLD), THRESHOLD)

        def peer(_: int) -> None:
            _must_be(sensor.poke({}), True)

        return _rounds(ours, peer)

    def next_number(self) -> Rounds:
        numbers = range(1, CLAIMS + 1)
        for side in ("ours", "peer"):
            for number in numbers:
                claim = Claim(by=f"earlier-{number}", since=now()).to_json()
                self._bucket.child(side).write(layout.claim("models", number), claim)

        def ours(number: int) -> None:
            _must_be(claim_number(self._storage, "models", by=f"run-{number}"), CLAIMS + 1 + number)

        def peer(number: int) -> None:
            _must_be(self._provider_claims(f"run-{number}"), CLAIMS + 1 + number)

        return _rounds(ours, peer)

    def open_batch(self) -> Rounds:
        document = OpenBatch(batch="benchmark", since=now()).to_json()
        peer_name = f"peer/{layout.OPEN_BATCH}"

        def ours(_: int) -> None:
            self._storage.write(layout.OPEN_BATCH, document, if_generation=ABSENT)

        def peer(_: int) -> None:
            _must_be(self._hook.exists(BUCKET, peer_name), False)
            self._hook.upload(BUCKET, peer_name, data=document)

        def forget() -> None:
            self._storage.delete(layout.OPEN_BATCH)
            self._hook.delete(BUCKET, peer_name)

        return _rounds(ours, peer, forget)

    def folder(self) -> Rounds:
        from airflow.providers.google.cloud.transfers.local_to_gcs import LocalFilesystemToGCSOperator

        files = [self._folder / name for name in (_MARKER, *(f"{number}.bin" for number in range(FILES - 1)))]
        for file in files:
            file.write_bytes(file.name.encode().ljust(FILE_BYTES, b"."))

        def ours(number: int) -> None:
            self._storage.publish(self._folder, f"folders/{number}", marker=_MARKER)

        def peer(number: int) -> None:
            sources = [str(file) for file in files]
            upload = LocalFilesystemToGCSOperator(
                task_id="upload", src=sources, dst=f"peer/folders/{number}/", bucket=BUCKET
            )
            _must_be(len(upload.execute({})), FILES)

        return _rounds(ours, peer)

    def _provider_claims(self, run: str) -> int:
        """``claim_number`` as one writes it with the hook. Not safe: between the last two calls, others do the same."""
        names = self._hook.list(BUCKET, prefix="peer/claims/models/")
        numbers = {int(Path(name).stem): name for name in names}
        for number in sorted(numbers):
            if Claim.from_json(self._hook.download(BUCKET, numbers[number])).by == run:
                return number
        number = max(numbers, default=0) + 1
        name = f"peer/{layout.claim('models', number)}"
        _must_be(self._hook.exists(BUCKET, name), False)
        self._hook.upload(BUCKET, name, data=Claim(by=run, since=now()).to_json())
        return number


@contextlib.contextmanager
def _sides(given: dict[str, str]) -> Iterator[Sides]:
    with client(given), tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        yield Sides(Path(folder))


def _rounds(
    ours: Callable[[int], None], peer: Callable[[int], None], afterwards: Callable[[], None] | None = None
) -> Rounds:
    """Both take turns, each told the round's number; the first round only warms up."""
    found = []
    for number in range(ROUNDS + 1):
        found.append((_seconds(ours, number), _seconds(peer, number)))
        if afterwards:
            afterwards()
    return found[1:]


def _seconds(work: Callable[[int], None], number: int) -> float:
    begun = time.perf_counter()
    work(number)
    return time.perf_counter() - begun


def _must_be(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise AssertionError(f"found {found!r}, not {wanted!r}: the two sides don't do the same")
