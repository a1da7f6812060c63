"""The audit counts each sample once, and tells what is lost or twice."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ml import layout
from ml.audit import NAMED, audit
from ml.batches import open_batch, read_manifest
from ml.errors import DataError
from ml.freezing import freeze
from ml.kinds.image_classification.kind import KIND
from ml.records import Batch, BatchState, ClassCount, SampleFate, Span, SpanSample, now
from ml.settings import Settings
from ml.settling import return_batch, settle
from ml.storage import Storage
from ml.storage.local import LocalStorage
from tests.unit.data.life_of_batches import LifeOfBatches


def frozen(storage: Storage, settings: Settings, run: str, *names: str) -> Batch:
    for name in names:
        storage.write(layout.inbox(name), name.encode())
    return freeze(storage, settings, run)


def settled(storage: Storage, settings: Settings, run: str, *names: str) -> Batch:
    return settle(storage, frozen(storage, settings, run, *names).id)


def make_span(storage: Storage, number: int, batch: str) -> None:
    lines = [
        SpanSample(object=e.object, generation=e.generation, fate=SampleFate.TRAIN, content="00").model_dump_json()
        for e in read_manifest(storage, batch)
    ]
    storage.write(layout.span(number, layout.SPAN_SAMPLES), gzip.compress("\n".join(lines).encode()))
    counts = ClassCount(train=len(lines))
    span = Span(
        span=number,
        batch=batch,
        created=now(),
        classes={"3": counts},
        train=len(lines),
        eval=0,
        duplicates=0,
        refused=0,
    )
    storage.write(layout.span(number, layout.SPAN), span.to_json())


def test_an_empty_pipeline_balances(storage: Storage) -> None:
    found = audit(storage, KIND)
    assert found.balanced
    assert found.collected == 0


def test_each_sample_counts_where_it_is(storage: Storage, settings: Settings) -> None:
    settled(storage, settings, "run 1", "3/a.png", "3/b.png", "not a sample")
    frozen(storage, settings, "run 2", "3/c.png")
    storage.write("inbox/3/d.png", b"d")
    found = audit(storage, KIND)
    assert found.model_dump(exclude={"problems"}) == {
        "collected": 5,
        "inbox": 1,
        "batch": 1,
        "archived": 2,
        "quarantined": 1,
        "vanished": 0,
        "lost": 0,
        "duplicated": 0,
        "incomplete": 0,
        "corrected": 0,
        "ignored": 0,
    }


def test_a_sample_deleted_from_the_archive_is_lost_and_named(storage: Storage, settings: Settings) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png", "3/b.png")
    storage.delete(layout.archived(batch.id, "3/a.png"))
    found = audit(storage, KIND)
    assert (found.collected, found.lost, found.balanced) == (2, 1, False)
    assert found.problems == [f"lost: '3/a.png' was settled with batch {batch.id} and is nowhere to be found"]


def test_a_sample_of_the_open_batch_that_is_nowhere_is_lost_until_its_settling_records_it(
    storage: Storage, settings: Settings
) -> None:
    batch = frozen(storage, settings, "run 1", "3/a.png", "3/b.png")
    storage.delete("inbox/3/a.png")
    found = audit(storage, KIND)
    assert found.lost == 1
    assert "batch settle" in found.problems[0]
    settle(storage, batch.id)
    found = audit(storage, KIND)
    assert (found.vanished, found.lost, found.balanced) == (1, 0, True)


def test_an_archived_sample_that_was_truncated_is_lost(storage: Storage, settings: Settings) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png")
    storage.write(layout.archived(batch.id, "3/a.png"), b"")
    found = audit(storage, KIND)
    assert found.lost == 1
    assert "changed after it was settled" in found.problems[0]


def test_a_sample_in_the_archive_and_in_quarantine_is_duplicated(storage: Storage, settings: Settings) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png")
    storage.write(layout.quarantined(batch.id, "3/a.png"), b"3/a.png")
    found = audit(storage, KIND)
    assert (found.collected, found.duplicated, found.balanced) == (1, 1, False)


def test_a_sample_in_the_archive_and_in_quarantine_that_is_whole_in_neither_is_lost(
    storage: Storage, settings: Settings
) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png")
    storage.write(layout.archived(batch.id, "3/a.png"), b"")
    storage.write(layout.quarantined(batch.id, "3/a.png"), b"")
    found = audit(storage, KIND)
    assert (found.collected, found.lost, found.duplicated) == (1, 1, 0)


def test_a_settled_sample_that_is_in_the_inbox_as_well_is_duplicated(
    storage: Storage, root: Path, settings: Settings
) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png")
    os.link(root / layout.archived(batch.id, "3/a.png"), root / "inbox" / "3" / "a.png")
    found = audit(storage, KIND)
    assert (found.collected, found.duplicated) == (1, 1)
    assert "in the inbox again" in found.problems[0]


def test_the_same_name_with_other_content_is_another_sample(storage: Storage, settings: Settings) -> None:
    settled(storage, settings, "run 1", "3/a.png")
    settled(storage, settings, "run 2", "3/a.png")
    storage.write("inbox/3/a.png", b"a third picture")
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.inbox, found.balanced) == (3, 2, 1, True)


def test_a_sample_in_two_batches_is_duplicated_but_not_in_a_returned_and_a_later_one(
    storage: Storage, settings: Settings
) -> None:
    first = frozen(storage, settings, "run 1", "3/a.png")
    return_batch(storage, first.id)
    second = freeze(storage, settings, "run 2")
    assert audit(storage, KIND).balanced
    reopened = first.model_copy(update={"state": BatchState.OPEN})
    storage.write(layout.batch(first.id, layout.BATCH), reopened.to_json())
    found = audit(storage, KIND)
    assert found.duplicated == 1
    assert first.id in found.problems[0]
    assert second.id in found.problems[0]


def test_a_sample_in_two_spans_is_duplicated(storage: Storage, settings: Settings) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png")
    make_span(storage, 1, batch.id)
    assert audit(storage, KIND).balanced
    make_span(storage, 2, batch.id)
    found = audit(storage, KIND)
    assert found.duplicated == 1
    assert "spans 1 and 2" in found.problems[0]


def test_a_sample_in_a_span_and_free_in_the_inbox_is_duplicated(storage: Storage, settings: Settings) -> None:
    batch = frozen(storage, settings, "run 1", "3/a.png")
    return_batch(storage, batch.id)
    make_span(storage, 1, batch.id)
    found = audit(storage, KIND)
    assert found.duplicated == 1
    assert "in a span and in the inbox" in found.problems[0]


def test_a_span_of_the_open_batch_balances(storage: Storage, settings: Settings) -> None:
    batch = frozen(storage, settings, "run 1", "3/a.png")
    make_span(storage, 1, batch.id)
    assert audit(storage, KIND).balanced


def test_archived_samples_of_a_batch_whose_documents_were_cleared_away_are_in_one_place(
    storage: Storage, settings: Settings
) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png")
    storage.delete_tree(layout.batch(batch.id))
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.balanced) == (1, 1, True)


def test_a_manifest_that_is_gone_makes_the_proof_impossible(storage: Storage, settings: Settings) -> None:
    batch = settled(storage, settings, "run 1", "3/a.png")
    storage.delete(layout.batch(batch.id, layout.MANIFEST))
    with pytest.raises(DataError, match="no audit is possible"):
        audit(storage, KIND)


def test_only_the_first_of_many_problems_are_named(storage: Storage, settings: Settings) -> None:
    batch = settled(storage, settings, "run 1", *(f"3/{number}.png" for number in range(2 * NAMED)))
    storage.delete_tree(f"archive/{batch.id}")
    found = audit(storage, KIND)
    assert found.lost == 2 * NAMED
    assert len(found.problems) == NAMED


def test_an_audit_balances_while_batches_are_frozen_and_settled(storage: Storage, settings: Settings) -> None:
    names = [f"3/{number}.png" for number in range(150 if storage.root.startswith("file:") else 15)]
    found = []
    working = threading.Event()
    working.set()

    def keep_auditing() -> None:
        while working.is_set():
            found.append(audit(storage, KIND))
        found.append(audit(storage, KIND))

    auditor = threading.Thread(target=keep_auditing)
    auditor.start()
    try:
        for run in range(4):
            settled(storage, settings, f"run {run}", *names)
    finally:
        working.clear()
        auditor.join()
    assert [problem for taken in found for problem in taken.problems] == []
    assert found[-1].archived == 4 * len(names)


class LifeOfSamples(LifeOfBatches):
    """Whatever happens in whatever order: every sample ever collected is found, once."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.storage = LocalStorage(Path(self.folder.name))
        self.settings = Settings.model_validate(
            {"name": "digits", "kind": "image_classification", "data": {"max_refused_share": 1}}
        )
        self.collected = self.runs = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(name=st.sampled_from(["3/{}.png", "8/{} x.jpg", "{}.txt", "3/ü{}.gif"]), size=st.integers(0, 3))
    def collect(self, name: str, size: int) -> None:
        self.collected += 1
        self.storage.write(layout.inbox(name.format(self.collected)), b"x" * size)

    @precondition(lambda self: self.collected and open_batch(self.storage) is None)
    @rule(limit=st.sampled_from([None, 1, 2]))
    def freeze(self, limit: int | None) -> None:
        self.runs += 1
        if next(self.storage.list(layout.INBOX), None) is not None:
            freeze(self.storage, self.settings, f"run {self.runs}", max_samples=limit)

    @invariant()
    def every_sample_is_in_exactly_one_place(self) -> None:
        found = audit(self.storage, KIND)
        assert found.problems == []
        assert found.collected == self.collected
        assert found.vanished == 0


LifeOfSamples.TestCase.settings = hypothesis_settings(
    deadline=None, max_examples=25, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow]
)
TestLifeOfSamples = pytest.mark.slow(LifeOfSamples.TestCase)
