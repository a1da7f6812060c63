"""Settling and returning batches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ml import layout
from ml.audit import audit
from ml.batches import (
    open_batch,
    read_batch,
    read_lines,
    read_manifest,
    write_refusals,
)
from ml.errors import ConflictError, NotFoundError
from ml.freezing import freeze
from ml.inbox import count
from ml.kinds.image_classification.kind import KIND
from ml.records import BatchState, OpenBatch, Refusal, Settlement, Span, now
from ml.settings import Settings
from ml.settling import return_batch, settle
from ml.storage import ABSENT, Storage
from tests.unit.data.collecting import collect, names, with_data


def test_unusable_objects_are_refused_at_the_freeze_and_settled_into_quarantine_with_the_reason(
    storage: Storage, root: Path, settings: Settings
) -> None:
    collect(storage, "3/fine.png", "readme.txt", "3/with\nnewline.png")
    storage.write("inbox/3/empty.png", b"")
    storage.write("inbox/3/large.png", b"x" * 101)
    (root / "inbox" / "3" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    (root / "inbox" / "3" / "link.png").symlink_to("fine.png")
    os.mkfifo(root / "inbox" / "3" / "pipe.png")
    batch = freeze(storage, with_data(settings, max_sample_bytes=100), "run 1")
    assert (batch.samples, batch.refused) == (1, 7)
    settled = settle(storage, batch.id)
    assert settled.settlement == Settlement(archived=1, quarantined=7, vanished=0)
    reasons = {r.object: r.reason for r in read_lines(storage, layout.quarantine_reasons(batch.id), Refusal)}
    assert reasons["3/large.png"] == "it has 101 bytes, more than data.max_sample_bytes = 100"
    assert reasons["3/empty.png"] == "it is empty"
    assert reasons["3/link.png"] == "it is a symbolic link, not a file"
    assert reasons["3/pipe.png"] == "it is a named pipe, not a file"
    assert names(storage, f"quarantine/{batch.id}/samples") == set(reasons)
    assert names(storage, "inbox") == set()
    assert audit(storage, KIND).balanced


def test_names_with_spaces_quotes_and_unicode_are_samples_like_any_other(storage: Storage, settings: Settings) -> None:
    odd = {
        'tabby cat/it\'s "mine".png',
        "猫/Ünïcödé.jpg",
        "$(reboot)/`id`;.png",
        "-rf/--help.png",
        "3/a..png",
        "3/%2F.png",
    }
    collect(storage, *odd)
    batch = freeze(storage, settings, "run 1")
    assert (batch.samples, batch.refused) == (len(odd), 0)
    settle(storage, batch.id)
    assert names(storage, f"archive/{batch.id}") == odd


def test_prior_art_4_a_manifest_that_names_vanished_objects_settles_and_balances(
    storage: Storage, settings: Settings
) -> None:
    """Unseen samples used to be moved away, and missing ones were not missed."""
    collect(storage, "3/stays.png", "3/deleted.png", "3/replaced.png")
    batch = freeze(storage, settings, "run 1")
    storage.delete("inbox/3/deleted.png")
    storage.write("inbox/3/replaced.png", b"another picture")
    settled = settle(storage, batch.id)
    assert settled.settlement == Settlement(archived=1, quarantined=0, vanished=2)
    vanished = read_lines(storage, layout.batch(batch.id, layout.VANISHED), Refusal)
    assert {v.object: v.reason for v in vanished} == {
        "3/deleted.png": "deleted from the inbox after the batch was frozen",
        "3/replaced.png": "replaced after the batch was frozen",
    }
    assert names(storage, "inbox") == {"3/replaced.png"}
    found = audit(storage, KIND)
    assert (found.collected, found.vanished, found.inbox, found.balanced) == (4, 2, 1, True)


def test_nothing_moves_over_what_lies_in_the_archive_already(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    batch = freeze(storage, settings, "run 1")
    storage.write(layout.archived(batch.id, "3/a.png"), b"somebody's")
    with pytest.raises(ConflictError, match="exists already"):
        settle(storage, batch.id)
    assert storage.read("inbox/3/a.png") == b"3/a.png"
    assert read_batch(storage, batch.id).state is BatchState.OPEN


def test_samples_that_a_step_refused_go_to_quarantine(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png", "3/b.png")
    batch = freeze(storage, settings, "run 1")
    entries = {entry.object: entry for entry in read_manifest(storage, batch.id)}
    broken = entries["3/b.png"]
    refusal = Refusal(index=broken.index, object=broken.object, generation=broken.generation, reason="truncated")
    for step in ("predict", "span"):
        assert write_refusals(storage, batch.id, step, [refusal]) == 1
    settled = settle(storage, batch.id)
    assert settled.settlement == Settlement(archived=1, quarantined=1, vanished=0)
    assert names(storage, f"quarantine/{batch.id}") == {"reasons.jsonl", "samples/3/b.png"}


def test_settling_twice_changes_nothing(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    batch = freeze(storage, settings, "run 1")
    first = settle(storage, batch.id)
    collect(storage, "3/a.png")
    assert settle(storage, batch.id) == first
    assert names(storage, "inbox") == {"3/a.png"}


def test_a_returned_batch_is_as_if_it_had_never_been(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    batch = freeze(storage, settings, "run 1")
    for _ in range(2):
        returned = return_batch(storage, batch.id)
        assert returned is not None
        assert returned.state is BatchState.RETURNED
    collect(storage, "3/b.png")
    assert open_batch(storage) is None
    assert count(storage, KIND, 10) == 2
    with pytest.raises(ConflictError, match="was returned"):
        settle(storage, batch.id)
    assert freeze(storage, settings, "run 2").samples == 2
    assert audit(storage, KIND).balanced


def test_a_returned_batch_of_the_same_run_is_frozen_anew(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    first = freeze(storage, settings, "run 1")
    storage.write(layout.batch(first.id, layout.PREDICTIONS), b"of the first manifest")
    return_batch(storage, first.id)
    collect(storage, "3/b.png")
    again = freeze(storage, settings, "run 1")
    assert (again.id, again.samples, again.state) == (first.id, 2, BatchState.OPEN)
    assert not storage.exists(layout.batch(first.id, layout.PREDICTIONS))


def test_a_returned_run_whose_samples_are_in_quarantine_is_not_frozen_anew(
    storage: Storage, settings: Settings
) -> None:
    collect(storage, "3/a.png", "a.txt")
    batch = freeze(storage, settings, "run 1")
    return_batch(storage, batch.id, quarantine_refused=True)
    with pytest.raises(ConflictError, match="start a new run"):
        freeze(storage, settings, "run 1")
    assert open_batch(storage) is None


def test_an_archived_batch_can_not_be_returned(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    batch = freeze(storage, settings, "run 1")
    settle(storage, batch.id)
    with pytest.raises(ConflictError, match="is archived"):
        return_batch(storage, batch.id)


def test_a_batch_that_went_into_a_span_can_not_be_returned(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    batch = freeze(storage, settings, "run 1")
    span = Span(span=1, batch=batch.id, created=now(), classes={}, train=1, eval=0, duplicates=0, refused=0)
    storage.write(layout.span(1, layout.SPAN), span.to_json())
    with pytest.raises(ConflictError, match="went into span 1"):
        return_batch(storage, batch.id)


def test_a_batch_that_is_being_settled_can_not_be_returned(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png", "3/b.png")
    batch = freeze(storage, settings, "run 1")
    storage.move("inbox/3/a.png", layout.archived(batch.id, "3/a.png"))
    with pytest.raises(ConflictError, match="being settled"):
        return_batch(storage, batch.id)


def test_a_claim_whose_freeze_never_finished_can_be_returned(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    claim = OpenBatch(batch="lost-run-00000000", since=now())
    storage.write(layout.OPEN_BATCH, claim.to_json(), if_generation=ABSENT)
    with pytest.raises(ConflictError, match="batch return digits lost-run-00000000"):
        freeze(storage, settings, "run 1")
    assert return_batch(storage, "lost-run-00000000") is None
    assert freeze(storage, settings, "run 1").samples == 1


def test_a_batch_that_does_not_exist_is_named_with_those_that_do(storage: Storage, settings: Settings) -> None:
    collect(storage, "3/a.png")
    batch = freeze(storage, settings, "run 1")
    for work in (settle, return_batch, read_batch):
        with pytest.raises(NotFoundError, match=batch.id):
            work(storage, "other")
