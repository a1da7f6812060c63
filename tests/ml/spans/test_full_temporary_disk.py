from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.errors import StorageError
from ml.spans.preparation import prepare
from ml.windows import complete_spans
from tests.ml.spans.conftest import Inbox
from tests.unit.data.mounting import disk_of_64_kib


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_of_64_kib(tmp_path / "tiny") as folder:
        yield folder


def test_a_full_temporary_disk_is_told_with_its_remedy_and_the_next_try_prepares_the_span(
    inbox: Inbox, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.fill({"3": 150, "8": 150})
    batch = inbox.freeze()
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tiny_disk))
        with pytest.raises(StorageError, match=f"{tiny_disk}: .*set TMPDIR"):
            prepare(inbox.storage, inbox.settings, batch)
    assert complete_spans(inbox.storage) == []
    assert prepare(inbox.storage, inbox.settings, batch).train == 240
