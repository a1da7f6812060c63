"""A pipeline's sample data written to a folder by ``python -m ml sample-data``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml import cli
from ml.errors import CodeError, ConflictError, NotFoundError, SettingsError

WRITES_TWO = """
def write_samples(folder):
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "1.json").write_text("{}")
"""
FAILS_AFTER_ONE = """
def write_samples(folder):
    (folder / "1.json").write_text("{}")
    raise ValueError("no more")
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pipeline ``own`` that writes two samples."""
    folder = tmp_path / "pipelines" / "own"
    folder.mkdir(parents=True)
    (folder / "settings.yaml").touch()
    (folder / "sample_data.py").write_text(WRITES_TWO)
    monkeypatch.setenv("RESPAN_PIPELINES", str(folder.parent))
    return folder


def files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("exists", [False, True])
def test_the_samples_are_written_to_a_new_or_an_empty_folder(
    pipeline: Path, tmp_path: Path, exists: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "rows" / "monday"
    if exists:
        folder.mkdir(parents=True)
    assert cli.run(["sample-data", "own", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pipeline": "own", "folder": str(folder), "files": 2}
    assert files(tmp_path / "rows") == ["monday/a/1.json", "monday/b/1.json"]


def test_a_folder_that_holds_something_is_left_as_it_is(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "mine.json").write_text("mine")
    assert cli.run(["sample-data", "own", str(tmp_path / "rows")]) == ConflictError.exit_code
    assert "is not an empty folder: name a new one" in capsys.readouterr().err
    assert files(tmp_path / "rows") == ["mine.json"]


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        (FAILS_AFTER_ONE, CodeError.exit_code, "sample_data.py:4: ValueError: no more"),
        ("def write_samples(folder): pass", CodeError.exit_code, "write_samples wrote no file"),
        (None, SettingsError.exit_code, "sample_data.py is missing: define write_samples(folder) there"),
    ],
)
def test_nothing_is_left_of_samples_that_could_not_be_written(
    pipeline: Path,
    tmp_path: Path,
    code: str | None,
    exit_code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (pipeline / "sample_data.py").unlink()
    if code is not None:
        (pipeline / "sample_data.py").write_text(code)
    assert cli.run(["sample-data", "own", str(tmp_path / "made" / "rows")]) == exit_code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert files(tmp_path / "made") == []


def test_a_pipeline_that_does_not_exist_and_a_folder_that_can_not_be_made_are_one_line(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert cli.run(["sample-data", "other", str(tmp_path / "rows")]) == NotFoundError.exit_code
    assert cli.run(["sample-data", "own", str(tmp_path / "file" / "rows")]) == SettingsError.exit_code
    assert capsys.readouterr().err.splitlines()[-1].endswith("name another folder")
