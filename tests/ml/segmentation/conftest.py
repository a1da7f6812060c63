from __future__ import annotations

from pathlib import Path

import pytest

from ml.storage import Storage, open_storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(f"file://{tmp_path / 'storage'}").child("scenes")
