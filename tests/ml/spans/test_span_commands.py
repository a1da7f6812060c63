from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ml.cli import cli, run
from ml.settling import settle
from ml.storage import open_storage


@pytest.fixture
def pipeline(inbox: Any, respan_home: Path) -> Any:
    """The inbox where the command line finds it, as the project's own pipeline."""
    inbox.storage = open_storage(f"file://{respan_home / 'storage'}").child("image_classification")
    inbox.folder = Path(inbox.storage.uri("inbox"))
    return inbox


def answer(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 0, result.output
    return json.loads(result.output.splitlines()[-1])


def test_a_span_is_prepared_listed_shown_and_in_the_window(pipeline: Any) -> None:
    pipeline.fill({"cat": 10, "dog": 10})
    batch = pipeline.freeze("scheduled__2026-11-21")
    made = answer("span", "prepare", "image_classification", "scheduled__2026-11-21", "--json")
    assert made == {"span": 1, "train": 16, "eval": 4, "duplicates": 0, "refused": 0}
    assert [span["batch"] for span in answer("span", "list", "image_classification", "--json")["spans"]] == [batch]
    assert answer("span", "show", "image_classification", "1", "--json")["classes"]["cat"] == {"train": 8, "eval": 2}
    assert answer("window", "image_classification", "--json") == {"window": [1]}


def test_the_window_is_the_newest_spans_by_number(pipeline: Any) -> None:
    for number in range(1, 4):
        pipeline.fill({"cat": 2}, first=number * 10)
        batch = pipeline.freeze(f"run {number}")
        answer("span", "prepare", "image_classification", batch, "--json")
        settle(pipeline.storage, batch)
    assert answer("window", "image_classification", "--json") == {"window": [2, 3]}
    assert answer("window", "image_classification", "--spans", "9", "--json") == {"window": [1, 2, 3]}


def test_a_span_of_one_label_comes_with_a_note(pipeline: Any) -> None:
    pipeline.fill({"cat": 3})
    batch = pipeline.freeze()
    result = CliRunner().invoke(cli, ["span", "prepare", "image_classification", batch])
    assert "holds the one label 'cat': a window needs two labels" in result.output


def test_a_missing_batch_and_a_missing_span_are_not_found(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["span", "prepare", "image_classification", "nothing"]) == 5
    assert run(["span", "show", "image_classification", "7"]) == 5
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert all(line.startswith("error: there is no ") for line in told)
