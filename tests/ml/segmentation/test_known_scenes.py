"""Scenes that prove nothing: copies, contradictions, and what the release was trained on."""

from __future__ import annotations

from ml import layout
from ml.batches import read_lines
from ml.evaluation.evaluate import evaluate
from ml.kinds.semantic_segmentation.masks import encode_mask
from ml.records import Refusal, Verdict
from ml.settling import settle
from ml.spans.preparation import prepare
from ml.storage import Storage
from tests.ml.segmentation.scenes_world import (
    answer,
    encoded,
    frozen,
    mask,
    picture,
    predict_as,
    put,
    put_scenes,
    release,
    scene_settings,
)

SETTINGS = scene_settings(max_known_share=0.9)


def test_only_new_scenes_are_in_the_metric(storage: Storage) -> None:
    put_scenes(storage, range(6))
    first = frozen(storage, SETTINGS)
    span = prepare(storage, SETTINGS, first.id)
    settle(storage, first.id)
    release(storage)
    for seed in range(6):  # once more, under other names
        put(storage, f"again-{seed:03}", encoded(picture(seed)), encode_mask(mask(seed)))
    put_scenes(storage, range(10, 15))
    put(storage, "copy", encoded(picture(10)), encode_mask(mask(10)))
    put(storage, "other", encoded(picture(14)), encode_mask(mask(0)))
    second = frozen(storage, SETTINGS, "second")
    names = [f"again-{seed:03}" for seed in range(6)]
    said = {name: answer(mask(99)) for name in [*names, "copy", "other"]}
    said |= {f"scene-{seed:03}": answer(mask(seed)) for seed in range(10, 15)}
    predict_as(storage, second.id, said)
    report = evaluate(storage, SETTINGS, second.id)
    assert (span.train, span.eval) == (5, 1)
    assert (report.counts.trained, report.counts.copies, report.counts.contradicted) == (5, 1, 2)
    # Four new ones, and the one that the release was evaluated on but not trained.
    assert (report.counts.evaluated, report.counts.failed) == (5, 0)
    assert sum(sum(row.values()) for row in report.confusion.values()) == 5 * 48
    assert {drift.samples for drift in report.drift if drift.samples is not None} == {5}
    assert len({one.object for one in read_lines(storage, layout.batch(second.id, layout.LEFT_OUT), Refusal)}) == 8


def test_scenes_that_were_trained_on_give_no_verdict(storage: Storage) -> None:
    put_scenes(storage, range(6))
    first = frozen(storage, SETTINGS)
    prepare(storage, SETTINGS, first.id)
    settle(storage, first.id)
    release(storage)
    put_scenes(storage, range(6))
    second = frozen(storage, SETTINGS, "second")
    predict_as(storage, second.id, {f"scene-{seed:03}": answer(mask(seed)) for seed in range(6)})
    assert evaluate(storage, SETTINGS, second.id).verdict is Verdict.INSUFFICIENT_DATA
