"""The report of a kind that counts pixels, shows several pictures of a case, and has no right or wrong samples."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from ml.evaluation.judging import Case, Picture
from ml.evaluation.records import (
    ClassScore,
    Counts,
    Drift,
    DriftDistance,
    EvaluationReport,
    Interval,
    Metric,
    PoorMask,
)
from ml.evaluation.reference import Distributions
from ml.evaluation.report import render
from ml.evaluation.report.numbers import briefly, counted
from ml.kinds.kind import Words
from ml.records import Verdict, now
from tests.ml.evaluation.pages import Page

WORDS = Words(
    metric="mean IoU",
    score="IoU",
    unit="pixels",
    interval="The interval is a bootstrap interval over images.",
    worst="the images whose masks are furthest from the truth",
    advice="Look here first for masks drawn wrong.",
)
METRIC = Metric(
    name="mean_iou",
    called="mean IoU",
    value=0.712,
    interval=Interval(low=0.68, high=0.74),
    confidence=0.95,
    threshold=0.8,
)
CAPTIONS = ("image", "truth", "prediction", "error")


def class_score(label: str, count: int, score: float | None) -> ClassScore:
    gap = None if score is None else 1 - score
    return ClassScore(
        label=label,
        seen=True,
        count=count,
        correct=count // 2,
        share=count / 50_000_000,
        human_level=1.0,
        score=score,
        gap=gap,
        priority=None if gap is None else gap * count / 50_000_000,
    )


def report(classes: Sequence[ClassScore]) -> EvaluationReport:
    return EvaluationReport(
        pipeline="roads",
        batch="b",
        version=3,
        window=[1, 2],
        created=now(),
        inputs="0" * 64,
        verdict=Verdict.DEGRADED,
        reasons=["Mean IoU is 71.20% (95% interval 68.00% to 74.00%), below the threshold of 80%."],
        metric=METRIC,
        further={"pixel_accuracy": 0.931},
        counts=Counts(samples=42, evaluated=40, failed=2, refused=1),
        unit="pixels",
        classes=list(classes),
        confusion={"road": {"road": 12_345_678, "sky": 9}, "sky": {"sky": 37_000_000, "road": 4_500}},
        drift=[Drift(feature="labels", distance=DriftDistance.L_INFINITY, value=0.1, limit=0.3)],
        failures=[],
        worst=[PoorMask(object="images/<7>.png", generation="1", mean_iou=0.213)],
    )


def picture(grey: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 4), grey, np.uint8)).save(out, "PNG")
    return out.getvalue()


def text_of(pictures: Sequence[Picture], classes: Sequence[ClassScore]) -> tuple[Page, str]:
    shares = Distributions(labels={"road": 0.25, "sky": 11.75}, predicted={"road": 0.5, "sky": 11.5}, statistics={})
    case = Case(object="images/<7>.png", pictures=pictures, score=0.213)
    page = Page(render(report(classes), WORDS, shares, shares, [case]).decode())
    return page, " ".join("".join(page.text).split())


CLASSES = (class_score("road", 12_345_687, 0.6), class_score("sky", 37_004_500, 0.9), class_score("lane", 0, None))


def test_the_pictures_of_a_case_are_side_by_side_with_what_they_show() -> None:
    page, text = text_of([Picture(picture(grey), caption) for grey, caption in enumerate(CAPTIONS)], CLASSES)
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert [one["alt"] for one in images] == [f"images/<7>.png: {caption}" for caption in CAPTIONS]
    assert len({one["src"] for one in images}) == 4
    assert ("ul", {"class": "cases", "style": "--pictures: 4"}) in page.elements
    assert "mean IoU 21.3%" in text


def test_a_picture_that_is_gone_leaves_its_place() -> None:
    page, text = text_of([Picture(None, "image"), Picture(picture(1), "truth")], CLASSES)
    assert [tag for tag, _ in page.elements].count("img") == 1
    assert "no picture" in text


def test_the_words_are_the_kind_s_and_none_is_of_labels_right_or_wrong() -> None:
    _, text = text_of([Picture(picture(1))], CLASSES)
    for words in (
        "IoU of each class",
        "(human level − IoU) × share of the class. Collect",
        "Pixel accuracy93.1%",
        "The images whose masks are furthest from the truth. Look here first for masks drawn wrong.",
        "bootstrap interval over images",
    ):
        assert words in text
    assert "Evaluated40of 42 samples" in text
    for words in ("Accuracy", "never seen", "Wilson", "camera", "mistakes are", "true label → prediction"):
        assert words not in text


def test_pixels_are_told_in_few_digits() -> None:
    _, text = text_of([Picture(picture(1))], CLASSES)
    assert "49.4M pixels of 3 labels" in text
    assert "road · 12.3M" in text
    assert "12345687" not in text.replace(",", "")


def test_only_classes_with_a_score_have_a_priority_and_a_missing_interval_is_a_dash() -> None:
    page, _ = text_of([Picture(picture(1))], CLASSES)
    table = [piece.strip() for piece in page.text if piece.strip()]
    begin = table.index("Where to improve first")
    rows = table[begin : table.index("Has the data changed?")]
    assert "lane" not in rows
    assert rows.count("–") == 2
    assert "Pixels" in rows


@pytest.mark.parametrize(
    ("count", "long", "short"),
    [
        (9_999, "9,999", "9999"),
        (12_345, "12,345", "12k"),
        (999_999, "999,999", "1.0M"),
        (1_234_567, "1.23M", "1.2M"),
        (99_960_000, "100M", "100M"),
        (12_345_678_901, "12.3G", "12G"),
    ],
)
def test_large_counts_are_rounded(count: int, long: str, short: str) -> None:
    assert (counted(count), briefly(count)) == (long, short)
