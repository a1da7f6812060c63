"""Mistakes in a kind of one's own are told in one line with the file, as early as can be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ml import cli, layout
from ml.errors import CodeError, RespanError
from ml.freezing import freeze
from ml.home import pipeline_storage
from ml.settings import load_settings
from ml.spans.preparation import prepare
from tests.ml.own_model.test_by_the_page import PAGE, WINE

Edit = Callable[[str, str, str], None]

#: Where rows.py names the statistics.
STATISTICS = "tuple(quoted(column) for column in COLUMNS)"


@pytest.fixture
def edit(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Edit:
    """Replaces text in a file of a copy of the folder."""
    copy = tmp_path / "pipelines" / "wine"
    shutil.copytree(WINE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("RESPAN_PIPELINES", str(copy.parent))

    def replace(name: str, old: str, new: str) -> None:
        text = (copy / name).read_text("utf-8")
        assert old in text
        (copy / name).write_text(text.replace(old, new), "utf-8")

    return replace


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("KIND = RowClassification()", "", "KIND has to be an instance of a subclass of ml.kinds.kind.Kind"),
        ("RowClassification()", "RowClassification", "KIND has to be an instance of a subclass of ml.kinds.kind.Kind"),
        ('    collected_feature = "row"\n', "", "RowClassification has to say what collected_feature is"),
        ("def serving(", "def serve(", "TypeError: Can't instantiate abstract class RowClassification"),
        (
            "import annotations\n",
            "import annotations\nimport airflow_of_mine\n",
            "ModuleNotFoundError: No module named ",
        ),
    ],
)
def test_a_kind_that_can_not_be_used_is_told_with_the_settings(edit: Edit, old: str, new: str, told: str) -> None:
    edit("kind.py", old, new)
    with pytest.raises(RespanError) as raised:
        load_settings("wine")
    assert "wine/kind.py" in str(raised.value)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
    assert told.replace("RowClassification", "…") in PAGE


def test_a_missing_kind_is_told(edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "pipelines" / "wine" / "kind.py").unlink()
    told = r"kind\.py is missing: with `kind: own` it has to define KIND"
    with pytest.raises(RespanError, match=told):
        load_settings("wine")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (STATISTICS, '("label", *COLUMNS[1:])', "none may be label or split"),
        (STATISTICS, r'("two\nlines", *COLUMNS[1:])', r"'two\\nlines', .* none may have a control character"),
        (STATISTICS, "COLUMNS[1:]", "statistics of 52: they have to be of 32, and of 48"),
        ("hashlib.sha256(", "hashlib.sha1(", "a sample has a content of 20 bytes"),
    ],
)
def test_an_inspector_that_breaks_its_promises_makes_no_span(edit: Edit, old: str, new: str, told: str) -> None:
    edit("rows.py", old, new)
    with pytest.raises(CodeError, match=told):
        prepare(pipeline_storage("wine"), load_settings("wine"), frozen())


def test_what_an_inspector_raises_is_told_with_its_line(edit: Edit, capsys: pytest.CaptureFixture[str]) -> None:
    edit("rows.py", "    row, label = read_row", "    row, label = {}[1], read_row")
    batch = frozen()
    assert cli.run(["span", "prepare", "wine", batch]) == CodeError.exit_code
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "wine/rows.py:" in line
    assert line.endswith("KeyError: 1")


def frozen() -> str:
    """A batch of one row."""
    from ml.pipeline_modules import bind_pipeline

    settings = load_settings("wine")
    bind_pipeline("wine")
    from ml.pipelines.wine.columns import COLUMNS  # type: ignore[import-not-found,unused-ignore]

    row = json.dumps(dict(zip(COLUMNS, range(13), strict=True)))
    pipeline_storage("wine").write(layout.inbox("class_0/1.json"), row.encode())
    return freeze(pipeline_storage("wine"), settings, "run").id
