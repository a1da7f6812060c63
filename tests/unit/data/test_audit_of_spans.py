"""What the audit says of the contents of spans."""

from __future__ import annotations

import pytest

from ml import layout
from ml.audit import audit
from ml.errors import DataError
from ml.freezing import freeze
from ml.kinds.image_classification.kind import KIND
from ml.settings import Settings
from ml.settling import settle
from ml.storage import Storage
from tests.unit.data.published_spans import publish_span


def test_a_content_that_spans_hold_under_several_truths_is_counted_as_corrected(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "3", "b": "3"}, {"c": "3"})
    publish_span(storage, 2, {"a": "8", "b": "3"}, {"c": "8"})
    publish_span(storage, 3, {"a": "3"}, {})
    found = audit(storage, KIND)
    assert found.corrected == 2
    assert found.balanced


def test_a_corrected_sample_is_in_the_archive_twice_and_the_audit_balances(
    storage: Storage, settings: Settings
) -> None:
    storage.write(layout.inbox("3/a.png"), b"a")
    first = settle(storage, freeze(storage, settings, "first").id)
    storage.write(layout.inbox("8/a.png"), storage.read(layout.archived(first.id, "3/a.png")))
    settle(storage, freeze(storage, settings, "second").id)
    found = audit(storage, KIND)
    assert (found.collected, found.archived, found.balanced) == (2, 2, True)


def test_a_damaged_list_of_samples_is_named(storage: Storage) -> None:
    publish_span(storage, 1, {"a": "3"}, {"c": "3"})
    name = layout.span(1, layout.SPAN_SAMPLES)
    storage.write(name, storage.read(name)[:-9])
    with pytest.raises(DataError, match=r"^span 1's samples\.jsonl\.gz is damaged \(.+\): restore it from a backup$"):
        audit(storage, KIND)
