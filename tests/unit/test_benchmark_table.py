from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.result import Result
from benchmarks.run import BENCHMARKS, RESULTS, source, table, write_results


@pytest.mark.parametrize(
    ("bound", "ratio", "met"),
    [("<= 1.25", 1.25, True), ("<= 1.25", 1.26, False), (">= 3", 3.0, True), (">= 3", 2.9, False)],
)
def test_a_ratio_is_held_to_its_bound(bound: str, ratio: float, met: bool) -> None:
    assert Result("name", ratio, 1.0, ratio, "s", bound).met is met


@pytest.mark.parametrize("bound", ["1.25", "< 1", "≤ 1.25"])
def test_a_bound_that_says_nothing_is_refused(bound: str) -> None:
    with pytest.raises(ValueError, match="bound of name"):
        Result("name", 1.0, 1.0, 1.0, "s", bound)


def test_the_table_tells_which_bounds_are_not_met() -> None:
    shown = table([Result("good", 6000, 2000, 3.0, "images/s", ">= 3"), Result("bad", 2, 1, 2.0, "s", "<= 1.25")])
    assert [line.split()[-1] for line in shown.splitlines()[2:]] == ["yes", "NO"]
    assert "6,000" in shown


def test_results_of_benchmarks_that_did_not_run_stay_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    write_results(file, {"spans": [Result("spans", 3, 1, 3.0, "images/s", ">= 1.5")]}, {"cores": 2})
    write_results(file, {"dags": [Result("dags", 1, 1, 1.0, "s", "<= 1.25")]}, {"cores": 4})
    written = json.loads(file.read_text())
    assert written["spans"]["machine"] == {"cores": 2}
    assert written["dags"]["results"][0]["met"] is True


@pytest.mark.parametrize("module", [benchmark.module for benchmark in BENCHMARKS])
def test_the_committed_results_are_of_the_benchmarks_as_they_are(module: str) -> None:
    written = json.loads(RESULTS.read_text())
    assert written[module]["source"] == source(module), f'run: make bench ARGS="{module}"'
