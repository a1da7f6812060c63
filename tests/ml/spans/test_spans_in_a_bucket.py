"""Spans of samples in a bucket are the spans of the same samples in a folder, to the byte."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator

import pytest

from ml import layout
from ml.audit import audit
from ml.batches import read_refusals
from ml.freezing import freeze
from ml.kinds.image_classification.kind import KIND
from ml.settings import Settings
from ml.settling import settle
from ml.spans.documents import read_samples, read_span
from ml.spans.preparation import prepare
from ml.storage import Storage, open_storage
from ml.windows import complete_spans
from tests.ml.spans.conftest import Inbox
from tests.unit.data.cloud_process import BUCKET, cloud_process

Draw = Callable[..., bytes]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cloud_process(tmp_path_factory.mktemp("cloud")) as environment:
        yield environment


@pytest.fixture
def bucket(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Storage:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return open_storage(f"gs://{BUCKET}/{uuid.uuid4()}").child("digits")


def collect(storage: Storage, draw: Draw) -> None:
    for label in ("cat", "a dog's 'ünïcode'"):
        for number in range(12):
            storage.write(layout.inbox(f"{label}/{number}.png"), draw(f"{label}-{number}"))
    storage.write(layout.inbox("cat/twin.png"), draw("cat-0"))
    storage.write(layout.inbox("cat/broken.png"), b"broken")
    storage.write(layout.inbox("stray.png"), draw("stray"))


def span_files(storage: Storage) -> dict[str, bytes]:
    """The span's files but for its two records, which tell times and generations, and the ledger of splits."""
    records = {layout.span(1, layout.SPAN), layout.span(1, layout.SPAN_SAMPLES)}
    found = [info.name for prefix in (layout.SPANS, layout.SPLITS) for info in storage.list(prefix)]
    return {name: storage.read(name) for name in found if name not in records}


def test_a_span_prepared_in_a_bucket_has_the_bytes_of_one_prepared_in_a_folder(
    bucket: Storage, inbox: Inbox, draw: Draw, settings: Settings
) -> None:
    spans = []
    for storage in (bucket, inbox.storage):
        collect(storage, draw)
        batch = freeze(storage, settings, "run 1").id
        spans.append(json.loads(prepare(storage, settings, batch).model_dump_json(exclude={"created"})))
        assert audit(storage, KIND).balanced
        settle(storage, batch)
        found = audit(storage, KIND)
        assert (found.archived, found.quarantined, found.balanced) == (25, 2, True)
        assert {sample.object for sample in read_samples(storage, 1)} >= {"cat/0.png", "cat/broken.png"}
    assert spans[0] == spans[1]
    files = span_files(bucket)
    assert len(files) > 3
    assert files == span_files(inbox.storage)


def test_what_vanished_or_was_replaced_in_the_bucket_is_refused_and_a_repeat_finds_the_span(
    bucket: Storage, draw: Draw, settings: Settings
) -> None:
    for number in range(10):
        bucket.write(layout.inbox(f"cat/{number}.png"), draw(str(number)))
    batch = freeze(bucket, settings, "run 1").id
    bucket.delete(layout.inbox("cat/1.png"))
    bucket.write(layout.inbox("cat/2.png"), draw("another"))
    span = prepare(bucket, settings, batch)
    assert sorted(read_refusals(bucket, batch).values()) == [
        "vanished after the batch was frozen",
        "was replaced after the batch was frozen",
    ]
    assert (span.train + span.eval, span.refused) == (8, 2)
    settle(bucket, batch)
    assert prepare(bucket, settings, batch) == read_span(bucket, 1) == span
    assert complete_spans(bucket) == [1]
    assert (audit(bucket, KIND).vanished, audit(bucket, KIND).balanced) == (2, True)
