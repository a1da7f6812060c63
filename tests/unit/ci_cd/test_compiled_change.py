"""How two revisions' compiled documents are compared, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml import layout
from ml.ci_cd.checkout_command import checkout_command
from ml.ci_cd.compiling import Documents, compare, keep, kept, node_ids
from ml.errors import CodeError
from ml.settings import load_settings_file
from ml.storage.local import LocalStorage


def documents(*nodes: str, spec: str = "{}\n") -> Documents:
    graph = {"nodes": [{"id": node} for node in nodes]}
    return {
        layout.COMPILED_GRAPH: json.dumps(graph, indent=1).encode(),
        layout.COMPILED_SPEC: spec.encode(),
    }


def test_the_first_revision_adds_every_node_and_has_nothing_to_compare_with() -> None:
    change = compare(None, documents("A", "B"))
    assert (change.added, change.removed, change.changed, change.diff_lines, change.diff) == (
        ["A", "B"],
        [],
        True,
        0,
        [],
    )


def test_the_same_documents_are_no_change() -> None:
    change = compare(documents("A"), documents("A"))
    assert (change.added, change.removed, change.changed, change.diff_lines, change.diff) == ([], [], False, 0, [])


def test_nodes_that_came_and_went_are_named_and_the_lines_shown() -> None:
    change = compare(documents("A", "B"), documents("A", "C", "D"))
    assert (change.added, change.removed, change.changed) == (["C", "D"], ["B"], True)
    assert {'-   "id": "B"', '+   "id": "C"', '+   "id": "D"'} <= set(change.diff)
    assert change.diff_lines == sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in change.diff)


def test_a_change_of_the_spec_alone_is_one_too() -> None:
    change = compare(documents("A"), documents("A", spec='{"image": "other"}\n'))
    assert (change.added, change.changed, change.diff_lines) == ([], True, 2)


def test_a_line_that_begins_like_a_heading_counts() -> None:
    assert compare(documents("A", spec="a\n"), documents("A", spec="a\n++ b\n")).diff_lines == 1


def test_a_long_diff_is_cut_and_says_so() -> None:
    before = documents("A", spec="".join(f"old {n} {'x' * 500}\n" for n in range(900)))
    after = documents("A", spec="".join(f"new {n}\n" for n in range(900)))
    change = compare(before, after)
    assert change.diff_lines == 1800
    assert len(change.diff) == 201
    assert max(map(len, change.diff)) <= 201
    assert change.diff[-1].startswith("… and 1,6")


def test_enormous_documents_are_not_compared_line_by_line() -> None:
    before, after = (documents("A", spec=word * 30_000) for word in ("a\n", "b\n"))
    change = compare(before, after)
    assert change.changed
    assert change.diff[-1] == "+++ vertex.json: 30,000 lines, too many to compare"


@pytest.mark.parametrize("graph", [b"", b"[]", b'{"nodes": [1]}', b'{"nodes": {"a": 1}}', b"[" * 100_000, b"\xff"])
def test_what_code_under_test_wrote_may_be_anything(graph: bytes) -> None:
    with pytest.raises(CodeError, match="what was compiled is no graph") as raised:
        node_ids({layout.COMPILED_GRAPH: graph})
    assert "\n" not in str(raised.value)


def test_documents_are_kept_for_each_revision_and_missing_where_one_of_them_is(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    keep(storage, "a" * 40, documents("A"))
    keep(storage, "b" * 40, documents("B"))
    assert kept(storage, "a" * 40) == documents("A")
    storage.delete(layout.revision("a" * 40, layout.COMPILED_SPEC))
    assert kept(storage, "a" * 40) is None
    assert kept(storage, "c" * 40) is None


@pytest.mark.parametrize(
    ("main", "told"),
    [
        ("raise ValueError('no\\nluck')", r"ml/cli\.py:2: luck$"),
        ("import os\n    os.kill(os.getpid(), 11)", r"the steps crashed: killed by signal 11$"),
        ("raise SystemExit(5)", r"it ended with exit code 5 and no message$"),
        ("import sys\n    sys.stderr.write('error: not so\\n')\n    return 10", r"not so$"),
    ],
    ids=["exception", "signal", "exit", "error"],
)
def test_a_command_of_the_checkout_that_fails_is_told_in_one_line(tmp_path: Path, main: str, told: str) -> None:
    checkout, pipeline = tmp_path / "checkout", tmp_path / "pipelines" / "flowers"
    (checkout / "ml").mkdir(parents=True)
    pipeline.mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        (checkout / "ml" / name).write_text("", "utf-8")
    (checkout / "ml" / "cli.py").write_text(f"def run(arguments):\n    {main}\n", "utf-8")
    (pipeline / "settings.yaml").write_text("kind: image_classification\n", "utf-8")
    (pipeline / "settings.py").write_text("import pydantic\n\nclass ModelSettings(pydantic.BaseModel): ...\n", "utf-8")
    settings = load_settings_file(pipeline / "settings.yaml")
    with pytest.raises(CodeError, match=told) as raised:
        checkout_command(["x"], what="the steps", settings=settings, checkout=checkout, folder=tmp_path / "sandbox")
    assert "\n" not in str(raised.value)
    assert not raised.value.retryable
