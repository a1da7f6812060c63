"""Mean IoU as the Evaluator's own library measures it, and what it blesses, compared with a count by hand.

The models are SavedModels that answer what an example holds for them, through the signature that segmenters export.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from ml.kinds.semantic_segmentation.gate import evaluation_config
from ml.kinds.semantic_segmentation.masks import Ids, encode_mask
from ml.kinds.semantic_segmentation.settings import SegmentationClass, SegmentationSettings
from ml.settings import Settings
from ml.settings_sections import TrainingSettings
from ml.tfx.factory import BEAM_ARGUMENTS

pytestmark = pytest.mark.slow

IDS = (0, 3, 9, 200)
#: Truth, and the candidate's answer.
Case = tuple[Ids, Ids]


def settings(threshold: float = 0.0, ignored: int | None = 255) -> Settings:
    classes = tuple(SegmentationClass(id=number, name=f"c{number}", colour="#000000") for number in IDS)
    return Settings(
        name="p",
        kind="own",
        training=TrainingSettings(blessing_threshold=threshold),
        model=SegmentationSettings(classes=classes, ignore_index=ignored),
    )


def cases(*, right: float) -> list[Case]:
    """Masks of many sizes with ignored pixels; an answer is right in about this share, and no class 200 occurs."""
    dice = np.random.default_rng(4)

    def answer(truth: Ids, share: float) -> Ids:
        guess = dice.choice(np.array(IDS[:3], np.uint8), truth.shape)
        return np.where((dice.random(truth.shape) < share) & (truth != 255), truth, guess)

    truths = [dice.choice(np.array([0, 3, 9, 255], np.uint8), (40 + number, 30)) for number in range(6)]
    return [(truth, answer(truth, right)) for truth in truths]


def counted(pairs: list[tuple[Ids, Ids]]) -> dict[int, float]:
    """IoU of each class that occurs, from pixels one by one."""
    ratios = {}
    for number in IDS:
        either = [
            (t == number, p == number)
            for truth, guess in pairs
            for t, p in zip(truth.flat, guess.flat, strict=True)
            if t != 255 and number in (t, p)
        ]
        if either:
            ratios[number] = sum(t and p for t, p in either) / len(either)
    return ratios


def save_model(folder: Path, feature: str) -> str:
    def serve(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = tf.io.parse_example(examples, {feature: tf.io.FixedLenFeature([], tf.string)})[feature]
        return {"mask_bytes": answer, "confidence": tf.ones(tf.shape(examples))}

    signature = tf.function(serve, input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    tf.saved_model.save(tf.Module(), str(folder / feature), {"serving_examples": signature})
    return str(folder / feature)


def evaluate(folder: Path, asked: Settings, given: list[Case]) -> tuple[dict[tuple[str, int | None], float], bool]:
    """(metric, class id) → value, and whether the candidate passed."""
    names = ("mask", "answer")
    with tf.io.TFRecordWriter(str(folder / "examples")) as writer:
        for case in given:
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encode_mask(mask)]))
                for name, mask in zip(names, case, strict=True)
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    config = tfma.utils.update_eval_config_with_defaults(evaluation_config(asked), has_baseline=False)
    tfma.run_model_analysis(
        eval_shared_model=tfma.default_eval_shared_model(save_model(folder, "answer"), eval_config=config),
        eval_config=config,
        data_location=str(folder / "examples"),
        output_path=str(folder / "out"),
        pipeline_options=beam.options.pipeline_options.PipelineOptions(BEAM_ARGUMENTS),
    )
    values: dict[tuple[str, int | None], float] = {}
    for record in tfma.load_metrics(str(folder / "out")):
        for item in record.metric_keys_and_values:
            key: Any = item.key
            number = key.sub_key.class_id.value if key.HasField("sub_key") else None
            values[key.name, number] = item.value.double_value.value
    return values, tfma.load_validation_result(str(folder / "out")).validation_ok


def test_mean_iou_is_what_a_count_by_hand_says(tmp_path: Path) -> None:
    given = cases(right=0.7)
    values, _ = evaluate(tmp_path, settings(), given)
    expected = counted(given)
    assert set(expected) == {0, 3, 9}
    assert values["mean_iou", None] == pytest.approx(sum(expected.values()) / 3)
    assert {number: values["iou", number] for number in expected} == pytest.approx(expected)
    assert ("iou", 200) not in values, "a class that doesn't occur has no IoU, and no share in the mean"
    assert values["example_count", None] == len(given)


@pytest.mark.parametrize(("threshold", "blessed"), [(0.8, False), (0.5, True)])
def test_a_candidate_is_blessed_for_its_mean_iou(tmp_path: Path, threshold: float, blessed: bool) -> None:
    assert evaluate(tmp_path, settings(threshold=threshold), cases(right=0.7))[1] is blessed
