"""What a release was trained on, for drift: each content once, as the newest span of its window has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml import layout
from ml.errors import DataError
from ml.evaluation.reference import Distributions, ReferencePredictions, read_reference
from ml.kinds.image_classification.kind import KIND
from ml.records import ReleaseRecord, now
from ml.settings import Settings
from ml.storage import Storage
from ml.storage.local import LocalStorage
from tests.unit.data.published_spans import publish_span


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Two spans; of the first, sample 1 was corrected and sample 3 came back."""
    storage = LocalStorage(tmp_path)
    publish_span(storage, 1, {"1": "3", "2": "3"}, {"3": "8", "4": "8"})
    publish_span(storage, 2, {"1": "8", "5": "3"}, {"3": "8"})
    storage.write(layout.release_reference(1), ReferencePredictions(predicted={"3": 1, "8": 1}).to_json())
    return storage


def reference(storage: Storage, window: list[int]) -> Distributions:
    release = ReleaseRecord(version=1, run="r", window=window, created=now(), metrics={}, classes=["3", "8"], code="c")
    settings = Settings.model_validate({"name": "digits", "kind": "image_classification", "model": None})
    return read_reference(storage, release, KIND.judge(settings))


def test_labels_and_statistics_count_each_content_once_under_its_newest_truth(storage: Storage) -> None:
    found = reference(storage, [1, 2])
    assert found.labels == {"3": 2, "8": 3}
    assert sorted(found.statistics["brightness"].tolist()) == [1, 2, 3, 4, 5]


def test_a_window_of_one_span_is_that_span(storage: Storage) -> None:
    assert reference(storage, [1]).labels == {"3": 2, "8": 2}


@pytest.mark.parametrize("name", [layout.SPAN_SAMPLES, layout.SPAN_STATISTICS])
def test_a_damaged_span_is_named_with_what_to_do(storage: Storage, name: str) -> None:
    storage.write(layout.span(1, name), storage.read(layout.span(1, name))[:-20])
    advice = "restore it from a backup, or release a version that is trained without the span"
    with pytest.raises(DataError, match=rf"^span 1's {name} is damaged \(.+\): {advice}$"):
        reference(storage, [1, 2])
