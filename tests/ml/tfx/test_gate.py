"""The data gate: examples that don't fit the reviewed schema stop the run before Transform."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml.errors import ComponentError, DataError
from tests.ml.tfx.digits_pipeline import digits, example, prepare, write_span

pytestmark = pytest.mark.slow


def test_an_anomaly_stops_the_run_and_is_told_in_one_line(respan_home: Path) -> None:
    records = [example(image, label) for image, label in digits(0, 20)]
    unlabelled = [example(image, None) for image, _ in digits(20, 22)]
    write_span(1, [*records, *unlabelled], records)
    run = prepare("run", [1])
    for node in ("ImportExampleGen", "ImportSchemaGen", "StatisticsGen"):
        run.run_node(node)
    for _ in range(2):  # a retry doesn't get past it
        with pytest.raises(DataError, match=r"train: feature 'label'") as raised:
            run.run_node("ExampleValidator")
        assert "\n" not in str(raised.value)
    with pytest.raises(ComponentError, match="Transform waits for ExampleValidator"):
        run.run_node("Transform")
