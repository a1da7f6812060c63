from __future__ import annotations

from pathlib import Path

import pytest

from tests.ml.notes.desk import PIPELINES, Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("RESPAN_PIPELINES", str(PIPELINES))
    return Desk(tmp_path / "storage")
