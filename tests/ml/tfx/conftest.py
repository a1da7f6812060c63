"""One trained pipeline for the tests of this folder that only look at it, and empty homes for those that change one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.logs import quiet

quiet()


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose pipeline has span 1 (400 digits) and one finished run, "first"."""
    from tests.ml.tfx.digits_pipeline import prepare, run_all, write_digits_span

    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESPAN_HOME", str(home))
        patch.delenv("RESPAN_STORAGE", raising=False)
        write_digits_span(1, 0, 400)
        states = run_all(prepare("first", [1]))
        assert set(states.values()) == {"succeeded"}
        yield home


@pytest.fixture
def trained(trained_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESPAN_HOME", str(trained_home))
    monkeypatch.delenv("RESPAN_STORAGE", raising=False)
    return trained_home
