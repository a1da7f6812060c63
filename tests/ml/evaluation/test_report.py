"""The report for people: self-contained, safe against hostile names, readable whatever the number of classes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ml import layout
from ml.evaluation.evaluate import evaluate
from ml.evaluation.report.drift_charts import histogram_edges
from ml.evaluation.report.labels import shown
from ml.settings import Settings
from ml.settings_sections import EvaluationSettings
from tests.ml.evaluation.evaluation_batches import BATCH, Sample, World, right, world, wrong
from tests.ml.evaluation.pages import Page

SETTINGS = Settings(name="p", kind="image_classification", evaluation=EvaluationSettings(min_evaluated=10))
HOSTILE = "<img src=x onerror=alert(1)>\"'&$\\frac{"


def page_of(here: World) -> str:
    evaluate(here.storage, SETTINGS, BATCH)
    return here.storage.read(layout.batch(BATCH, layout.REPORT_HTML)).decode()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(world(tmp_path_factory.mktemp("page"), [*right(50), *wrong(10), Sample("a", None)]))


def test_it_is_well_formed_html(page: str) -> None:
    tags = [tag for tag, _ in Page(page).elements]
    assert tags.count("svg") == 6
    assert tags.count("img") == 10


def test_nothing_in_it_is_fetched_or_run(page: str) -> None:
    for tag, attributes in Page(page).elements:
        assert tag not in ("script", "link", "iframe", "object", "embed")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_it_has_the_verdict_the_reason_and_every_part(page: str) -> None:
    text = " ".join(Page(page).text)
    assert "Degraded" in text
    assert "Accuracy is 83.33%" in text
    for heading in ("mistakes for what", "worst mistakes", "improve first", "data changed", "Failed predictions"):
        assert heading in text


def test_it_follows_the_reader_s_light_or_dark_screen(page: str) -> None:
    assert "prefers-color-scheme: dark" in page
    assert "var(--ink)" in page
    assert "#00000" not in page


def test_hostile_labels_are_shown_and_do_nothing(tmp_path: Path) -> None:
    label = HOSTILE.replace("/", "")
    here = world(
        tmp_path, [*right(20), *[Sample(label, "a")] * 3, *[Sample("a", label)] * 3], classes=["a", "b", "c", label]
    )
    html = page_of(here)
    page = Page(html)
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "<img src=x" not in html
    assert shown(label) in "".join(page.text)


def test_any_script_is_shown_as_it_is(tmp_path: Path) -> None:
    html = page_of(world(tmp_path, [*right(20), Sample("日本語 żółć", "a"), Sample("שלום", "b")]))
    assert "日本語 żółć" in html
    assert "שלום" in html


@pytest.mark.parametrize("classes", [1, 2, 300])
def test_it_stays_readable_with_any_number_of_classes(tmp_path: Path, classes: int) -> None:
    names = [f"class-{number}" for number in range(classes)]
    samples = [Sample(names[n % classes], names[(n + n // classes) % classes]) for n in range(600)]
    html = page_of(world(tmp_path, samples, classes=names, trained=dict.fromkeys(names, 1), pictures=False))
    Page(html)
    assert len(html) < 400_000
    assert ("others" in html) == (classes > 20)


def test_an_empty_batch_has_a_report(tmp_path: Path) -> None:
    html = page_of(world(tmp_path, []))
    Page(html)
    assert "Not enough data" in html


@pytest.mark.parametrize(
    ("text", "expected"), [("plain", "plain"), ("a\x00b\u202ec", "a�b�c"), ("\ud800", "�"), ("x" * 40, None)]
)
def test_names_are_shown_without_what_can_not_be_printed(text: str, expected: str | None) -> None:
    if expected is None:
        assert len(shown(text)) == 28
        assert "…" in shown(text)
    else:
        assert shown(text) == expected


def test_one_panorama_does_not_squeeze_the_other_widths_into_one_bar() -> None:
    random = np.random.default_rng(0)
    window, batch = (random.uniform(300, 500, size).astype(np.float32) for size in (480, 200))
    edges = histogram_edges(window, np.append(batch, np.float32(8000)))
    assert edges[0] == pytest.approx(300, abs=5)
    assert edges[-1] == pytest.approx(500, abs=5)
