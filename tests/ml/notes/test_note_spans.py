"""Spans of samples that are no images, have no label, and have several classes or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ml import layout
from ml.batches import read_refusals
from ml.errors import CodeError
from ml.spans.preparation import prepare
from ml.windows import complete_spans
from tests.ml.notes.desk import PIPELINES, Desk


def test_a_sample_counts_in_each_of_its_classes_and_once_in_the_totals(desk: Desk) -> None:
    for number in range(10):
        desk.write(f"both-{number}", f"both {number}", "a", "b")
        desk.write(f"one-{number}", f"one {number}", "b")
        desk.write(f"none-{number}", f"none {number}")
    span = prepare(desk.storage, desk.settings, desk.freeze())
    assert (span.train, span.eval) == (24, 6)
    assert {name: (count.train, count.eval) for name, count in span.classes.items()} == {"a": (8, 2), "b": (16, 4)}


def test_the_statistics_have_the_kinds_columns_and_each_samples_stratum(desk: Desk) -> None:
    desk.write("1", "a/b/c", "seas")
    desk.write("2", "abc")
    prepare(desk.storage, desk.settings, desk.freeze())
    with np.load(desk.storage.uri(layout.span(1, layout.SPAN_STATISTICS)), allow_pickle=False) as columns:
        assert set(columns) == {"label", "split", "characters", "share of a/b"}
        assert sorted(zip(columns["label"].tolist(), columns["characters"], columns["share of a/b"], strict=True)) == [
            ("", 3, 0),
            ("seas", 5, 2),
        ]


def test_where_no_sample_has_a_class_the_span_has_none(desk: Desk) -> None:
    desk.write("1", "abc")
    span = prepare(desk.storage, desk.settings, desk.freeze())
    assert (span.classes, span.train, span.eval) == ({}, 1, 0)


def test_copies_are_told_by_content_and_refused_where_their_truths_differ(desk: Desk) -> None:
    desk.write("1", "twice", "a", "b")
    desk.write("2", "twice", "b", "a")
    desk.write("3", "disputed", "a", "b")
    desk.write("4", "disputed", "a")
    desk.write("5", "fine", "a")
    batch = desk.freeze()
    span = prepare(desk.storage, desk.settings, batch)
    assert (span.train + span.eval, span.duplicates, span.refused) == (2, 1, 2)
    assert set(read_refusals(desk.storage, batch).values()) == {'the same text is tagged ["a", "b"] and ["a"]'}


def test_an_inspector_that_leaves_samples_out_is_at_fault_and_makes_no_span(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pipelines/forgetful"
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text("kind: own\n")
    shutil.copy(PIPELINES / "notes/settings.py", folder)
    (folder / "kind.py").write_text(
        "from itertools import islice\n"
        "from tests.ml.notes.pipelines.notes.kind import NoteInspector, Notes\n"
        "class Forgetful(NoteInspector):\n"
        "    def inspect(self, samples):\n"
        "        return islice(super().inspect(samples), 2)\n"
        "class Forgotten(Notes):\n"
        "    def inspector(self, settings):\n"
        "        return Forgetful()\n"
        "KIND = Forgotten()\n"
    )
    monkeypatch.setenv("RESPAN_PIPELINES", str(folder.parent))
    desk = Desk(tmp_path / "storage", "forgetful")
    for number in range(3):
        desk.write(str(number), f"note {number}")
    with pytest.raises(CodeError, match=r"ml\.pipelines\.forgetful\.kind: inspect left out samples of batch run"):
        prepare(desk.storage, desk.settings, desk.freeze())
    assert complete_spans(desk.storage) == []
