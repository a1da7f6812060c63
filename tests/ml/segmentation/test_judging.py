"""A batch's predicted masks against the true ones."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml import layout
from ml.batches import read_manifest, read_refusals
from ml.errors import DataError, NotFoundError
from ml.evaluation.evaluate import evaluate
from ml.evaluation.judging import Judgement
from ml.evaluation.records import EvaluationReport, PoorMask
from ml.kinds.semantic_segmentation.judging import MaskJudge
from ml.kinds.semantic_segmentation.kind import KIND
from ml.kinds.semantic_segmentation.masks import encode_mask
from ml.kinds.semantic_segmentation.serving import Answer
from ml.prediction.documents import Predictions, prediction_folder, write_predictions
from ml.records import ReleaseRecord, Verdict
from ml.settling import settle
from ml.spans.preparation import prepare
from ml.storage import Storage
from tests.ml.segmentation.scenes_world import (
    IGNORED,
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

SETTINGS = scene_settings()
NAMES = [f"scene-{seed:03}" for seed in range(6)]


def right() -> dict[str, Answer | str]:
    return {name: answer(mask(seed)) for seed, name in enumerate(NAMES)}


def half_right(seed: int) -> np.ndarray:
    """The true mask, but for its upper half, which is all ground."""
    predicted = mask(seed)
    predicted[:3] = 0
    return predicted


def judged(storage: Storage, given: dict[str, Answer | str], **evaluation: Any) -> Judgement:
    settings = scene_settings(**evaluation)
    record = release(storage)
    batch = frozen(storage, settings).id
    predict_as(storage, batch, given)
    return MaskJudge(KIND, settings).judge(storage, batch, record)


@pytest.fixture
def scenes(storage: Storage) -> Storage:
    put_scenes(storage, range(6))
    return storage


def test_masks_that_are_right_have_an_iou_of_one(scenes: Storage) -> None:
    found = judged(scenes, right())
    assert (found.metric.name, found.metric.value, found.metric.lowest) == ("mean_iou", 1.0, 1.0)
    assert found.further == {"pixel_accuracy": 1.0}
    assert (found.counts.samples, found.counts.evaluated, found.counts.failed, found.counts.correct) == (6, 6, 0, None)
    assert found.worst == []


def test_intersections_and_unions_add_up_over_images_before_they_are_divided(scenes: Storage) -> None:
    given = right() | {name: answer(half_right(seed)) for seed, name in enumerate(NAMES[:3])}
    found = judged(scenes, given)
    truth = np.stack([mask(seed) for seed in range(6)])
    said = np.stack([half_right(seed) if seed < 3 else mask(seed) for seed in range(6)])
    ious = [np.sum((truth == n) & (said == n)) / np.sum((truth == n) | (said == n)) for n in (0, 7, 3)]
    assert found.metric.value == pytest.approx(np.mean(ious))
    assert [score.score for score in found.classes] == pytest.approx(ious)
    assert found.metric.value is not None
    assert found.metric.value in found.metric.interval
    assert found.confusion["tree"] == {
        "ground": int(np.sum((truth == 7) & (said == 0))),
        "tree": int(np.sum((truth == 7) & (said == 7))),
    }


def test_ignored_pixels_are_neither_right_nor_wrong(storage: Storage) -> None:
    for seed, name in enumerate(NAMES):
        truth = mask(seed)
        truth[:3] = IGNORED
        put(storage, name, encoded(picture(seed)), encode_mask(truth))
    found = judged(storage, {name: answer(half_right(seed)) for seed, name in enumerate(NAMES)})
    assert found.metric.value == 1.0
    assert sum(score.count for score in found.classes) == 6 * 24


def test_a_failed_prediction_is_counted_and_told_as_what_it_may_cost(scenes: Storage) -> None:
    found = judged(scenes, right() | {NAMES[0]: "the model refused it"})
    assert (found.counts.evaluated, found.counts.failed) == (5, 1)
    assert found.metric.value == 1.0
    assert found.metric.lowest is not None
    assert found.metric.lowest < 0.9
    assert [(failure.message, failure.count) for failure in found.failures] == [("the model refused it", 1)]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "the mask vanished after the batch was frozen"),
        (encode_mask(np.full((6, 8), 9, np.uint8)), "the mask has values that are no class's id: 9"),
        (encode_mask(mask(0, 6, 9)), "the mask is 9 × 6, and its image 8 × 6"),
        (encode_mask(np.full((6, 8), IGNORED, np.uint8)), "the mask labels no pixel: all are ignored"),
    ],
    ids=["gone", "unknown class", "another size", "all ignored"],
)
def test_a_sample_without_a_usable_mask_fails_and_goes_to_quarantine(
    scenes: Storage, broken: bytes | None, reason: str
) -> None:
    if broken is not None:
        put(scenes, NAMES[0], None, broken)
    record = release(scenes)
    batch = frozen(scenes, SETTINGS).id
    predict_as(scenes, batch, right())
    if broken is None:
        scenes.delete(layout.inbox(f"masks/{NAMES[0]}.png"))
    found = MaskJudge(KIND, SETTINGS).judge(scenes, batch, record)
    assert (found.counts.evaluated, found.counts.failed, found.metric.value) == (5, 1, 1.0)
    assert read_refusals(scenes, batch) == {0: reason}
    settle(scenes, batch)
    assert scenes.exists(layout.quarantined(batch, f"images/{NAMES[0]}.png"))


def test_too_many_unusable_masks_fail_the_evaluation_with_the_reason(scenes: Storage) -> None:
    for name in NAMES[:4]:
        put(scenes, name, None, encode_mask(np.full((6, 8), 9, np.uint8)))
    with pytest.raises(DataError, match=r"4 of 6 samples .*no class's id: 9.*max_refused_share = 0\.5"):
        judged(scenes, right())


def test_the_worst_images_come_first_and_are_shown_with_truth_prediction_and_errors(scenes: Storage) -> None:
    wrong = np.where(mask(4) == 0, 7, 0).astype(np.uint8)
    given = right() | {NAMES[1]: answer(half_right(1)), NAMES[4]: answer(wrong)}
    found = judged(scenes, given)
    assert [case.object for case in found.worst] == [f"images/{NAMES[4]}.png", f"images/{NAMES[1]}.png"]
    [worst, second] = found.worst
    assert isinstance(worst, PoorMask)
    assert isinstance(second, PoorMask)
    assert worst.mean_iou < second.mean_iou < 1
    batch = next(iter(scenes.folders(layout.BATCHES)))
    cases = MaskJudge(KIND, SETTINGS).cases(scenes, batch, found.worst)
    assert [case.score for case in cases] == [worst.mean_iou, second.mean_iou]
    assert [picture.caption for picture in cases[0].pictures] == ["image", "truth", "prediction", "errors"]
    image, truth, said, errors = (pixels(shown.png) for shown in cases[1].pictures)
    np.testing.assert_array_equal(image, picture(1))
    colours = {0: (16, 32, 48), 7: (0, 255, 0), 3: (255, 0, 0)}
    for shown, ids in ((truth, mask(1)), (said, half_right(1))):
        np.testing.assert_array_equal(shown, [[colours[number] for number in row] for row in ids.tolist()])
    reddish = errors[..., 0].astype(int) - errors[..., 1] > 100
    np.testing.assert_array_equal(reddish, mask(1) != half_right(1))


def pixels(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_case_whose_image_vanished_is_shown_without_it(scenes: Storage) -> None:
    found = judged(scenes, right() | {NAMES[1]: answer(half_right(1))})
    scenes.delete(layout.inbox(f"images/{NAMES[1]}.png"))
    batch = next(iter(scenes.folders(layout.BATCHES)))
    [case] = MaskJudge(KIND, SETTINGS).cases(scenes, batch, found.worst)
    assert [shown.png is None for shown in case.pictures] == [True, False, False, True]


def test_lines_of_a_job_on_vertex_ai_give_the_same_judgement(scenes: Storage) -> None:
    given = right() | {NAMES[2]: answer(half_right(2)), NAMES[5]: "it can't be decoded"}
    local = judged(scenes, given)
    batch = next(iter(scenes.folders(layout.BATCHES)))
    folder = f"{prediction_folder(batch, 1)}/prediction-scenes-1"
    lines = []
    for entry in reversed(list(read_manifest(scenes, batch))):
        said = given[entry.object.removeprefix("images/").removesuffix(".png")]
        told: dict[str, Any]
        if isinstance(said, str):
            told = {"error": {"code": 3, "message": said}}
        else:
            mask_bytes = {"b64": base64.b64encode(said.mask_bytes.b64).decode()}
            told = {
                "prediction": {
                    "mask_bytes": mask_bytes,
                    "class_shares": said.class_shares,
                    "confidence": said.confidence,
                }
            }
        lines.append(json.dumps({"key": str(entry.index), **told}))
    scenes.write(f"{folder}/prediction.results-00000-of-00001", "\n".join(lines).encode())
    scenes.write(layout.batch(batch, layout.PREDICTIONS), b"")
    write_predictions(scenes, batch, Predictions(version=1, predicted=5, failed=1, folder=folder))
    job = MaskJudge(KIND, SETTINGS).judge(scenes, batch, release_of(scenes))
    assert (job.metric, job.counts, job.classes, job.confusion) == (
        local.metric,
        local.counts,
        local.classes,
        local.confusion,
    )
    assert (job.failures, job.worst) == (local.failures, local.worst)


def release_of(storage: Storage) -> ReleaseRecord:
    return ReleaseRecord.from_json(storage.read(layout.release(1)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines[:-1], "1 of 6 samples have none"),
        (lambda lines: [*lines, lines[0]], "sample 0 has a prediction already"),
        (lambda lines: [*lines[:-1], lines[-1].replace(b'"key":5', b'"key":77')], "sample 77 is not in the batch"),
        (lambda lines: [*lines[:-1], b"{"], "line 6"),
    ],
    ids=["missing", "twice", "foreign", "broken"],
)
def test_predictions_that_are_not_one_for_each_sample_are_an_error(scenes: Storage, change: Any, told: str) -> None:
    record = release(scenes)
    batch = frozen(scenes, SETTINGS).id
    predict_as(scenes, batch, right())
    name = layout.batch(batch, layout.PREDICTIONS)
    scenes.write(name, b"\n".join(change(scenes.read(name).splitlines())) + b"\n")
    with pytest.raises(DataError, match=told):
        MaskJudge(KIND, SETTINGS).judge(scenes, batch, record)


def test_no_predictions_are_an_error_that_says_what_to_do(scenes: Storage) -> None:
    record = release(scenes)
    batch = frozen(scenes, SETTINGS).id
    with pytest.raises(NotFoundError, match="run `predict` first"):
        MaskJudge(KIND, SETTINGS).judge(scenes, batch, record)


def test_a_release_with_other_classes_is_refused_with_what_to_do(scenes: Storage) -> None:
    record = release(scenes, classes=("ground", "tree"))
    batch = frozen(scenes, SETTINGS).id
    predict_as(scenes, batch, right())
    with pytest.raises(DataError, match="train and release a version with these classes"):
        MaskJudge(KIND, SETTINGS).judge(scenes, batch, record)


def test_a_predicted_id_that_is_no_class_is_an_error_naming_the_sample(scenes: Storage) -> None:
    strange = mask(0)
    strange[0, 0] = 42
    with pytest.raises(DataError, match=r"images/scene-000\.png.*class id 42 is predicted"):
        judged(scenes, right() | {NAMES[0]: answer(strange)})


@pytest.mark.parametrize(("degraded", "verdict"), [(False, Verdict.PASS), (True, Verdict.DEGRADED)])
def test_the_evaluation_ends_with_a_verdict_on_mean_iou_and_a_page(
    storage: Storage, degraded: bool, verdict: Verdict
) -> None:
    settings = scene_settings(max_label_drift=None, max_prediction_drift=None)
    put_scenes(storage, range(100, 110))
    first = frozen(storage, settings, "first").id
    prepare(storage, settings, first)
    settle(storage, first)
    release(storage)
    put_scenes(storage, range(6))
    batch = frozen(storage, settings, "second").id
    every = {name: answer(half_right(seed)) for seed, name in enumerate(NAMES)}
    predict_as(storage, batch, every if degraded else right())
    report = evaluate(storage, settings, batch)
    assert report.verdict is verdict
    assert report.reasons[0].startswith("Mean IoU is ")
    assert EvaluationReport.from_json(storage.read(layout.batch(batch, layout.REPORT_JSON))) == report
    assert {drift.feature for drift in report.drift} >= {"labels", "predictions", "area share of tree", "brightness"}
    page = storage.read(layout.batch(batch, layout.REPORT_HTML)).decode()
    assert page.count("<figcaption>truth</figcaption>") == (6 if degraded else 0)
    assert "ccuracy" not in page.replace("pixel accuracy", "").replace("Pixel accuracy", "")
    assert evaluate(storage, settings, batch) == report
