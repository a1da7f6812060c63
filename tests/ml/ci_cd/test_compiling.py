"""``ci-cd compile``: a checkout compiles itself, and what it compiles to is kept and compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml import layout
from ml.errors import CodeError
from ml.storage.local import LocalStorage
from tests.ml.ci_cd.installed import FIRST, PIPELINE, SECOND, THIRD, document, edit, error, new_checkout, step, warm
from tests.unit.warm.warm_project import Project, project_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FOLDER = Path("ml/pipelines") / PIPELINE


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project_in(tmp_path_factory.mktemp("installed"), preload=True) as made:
        yield made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return new_checkout(tmp_path / "checkout")


def kept(project: Project, revision: str) -> tuple[bytes, bytes]:
    storage = LocalStorage(project.home / "storage" / PIPELINE)
    names = (layout.COMPILED_GRAPH, layout.COMPILED_SPEC)
    graph, spec = (storage.read(layout.revision(revision, name)) for name in names)
    return graph, spec


def test_a_first_compile_is_kept_and_a_cold_process_gives_the_same_bytes(project: Project, checkout: Path) -> None:
    made = document(step(project, "compile", checkout, FIRST))
    graph, spec = kept(project, FIRST)
    assert graph == (checkout / FOLDER / "graph.json").read_bytes()
    assert (made["nodes"], len(made["added"]), made["removed"]) == (10, 10, [])
    assert (made["changed"], made["diff_lines"], made["reused"]) == (True, 0, False)
    arguments = ("ci-cd", "compile", PIPELINE, "--checkout", str(checkout), "--revision", SECOND, "--previous", FIRST)
    cold = document(project.cold(*arguments, "--json"))
    assert cold == {"nodes": 10, "added": [], "removed": [], "changed": False, "diff_lines": 0, "reused": False}
    assert kept(project, SECOND) == (graph, spec)


def test_a_stale_graph_is_refused_and_a_committed_one_shown_as_a_diff(project: Project, checkout: Path) -> None:
    document(step(project, "compile", checkout, FIRST))
    settings = checkout / FOLDER / "settings.yaml"
    settings.write_text(settings.read_text("utf-8") + "tuner:\n  enabled: true\n", "utf-8")
    stale = step(project, "compile", checkout, SECOND, "--previous", FIRST)
    assert stale.returncode == CodeError.exit_code
    assert error(stale) == f"{FOLDER}/graph.json is stale: run `python -m ml compile {PIPELINE}` and commit the file"

    compiled = warm(project, "compile", PIPELINE, RESPAN_PIPELINES=str(checkout / "ml" / "pipelines"))
    assert compiled.returncode == 0
    done = step(project, "compile", checkout, SECOND, "--previous", FIRST)
    made = document(done)
    assert (made["nodes"], made["added"], made["removed"], made["changed"]) == (11, ["Tuner"], [], True)
    lines = done.stderr.splitlines()
    assert {"--- graph.json (before)", '+   "id": "Tuner",', "--- vertex.json (before)"} <= set(lines)
    shown = [line for line in lines if line[:1] in ("+", "-") and line[:4] not in ("--- ", "+++ ")]
    assert made["diff_lines"] >= len(shown) > 10


def test_what_compiled_before_is_reused_for_the_same_content_alone(project: Project, checkout: Path) -> None:
    document(step(project, "compile", checkout, FIRST, "--content", "same"))
    (checkout / FOLDER / "model.py").write_text("syntax error\n", "utf-8")
    again = document(step(project, "compile", checkout, THIRD, "--content", "same", "--previous", FIRST))
    assert (again["reused"], again["changed"], again["nodes"]) == (True, False, 10)
    assert kept(project, THIRD) == kept(project, FIRST)
    assert step(project, "compile", checkout, THIRD, "--content", "other").returncode == CodeError.exit_code


def test_a_previous_revision_that_was_never_compiled_makes_it_a_first_one(project: Project, checkout: Path) -> None:
    done = step(project, "compile", checkout, FIRST, "--previous", "d" * 40)
    assert len(document(done)["added"]) == 10
    assert "first compile" in done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (FOLDER / "model.py", "def run_fn(", "def run_fn(:", f"{FOLDER}/model.py:"),
        (FOLDER / "model.py", "def run_fn(", "def trained(", f"{FOLDER}/model.py defines no function run_fn"),
        (FOLDER / "settings.yaml", "epochs:", "epoch:", f"{FOLDER}/settings.yaml: key `training.epoch` is not known"),
        (FOLDER / "settings.py", "class ModelSettings", "1 / 0\nclass ModelSettings", f"{FOLDER}/settings.py:"),
        (Path("ml/tfx/factory.py"), "    example_gen = ", "    1 / 0\n    example_gen = ", "ml/tfx/factory.py:"),
        (Path("ml/cli.py"), "import click", "import click = 1", "ml/cli.py:"),
    ],
    ids=["syntax", "function", "key", "settings", "factory", "command line"],
)
def test_what_does_not_compile_is_told_in_one_line_with_its_place(
    project: Project, checkout: Path, file: Path, old: str, new: str, told: str
) -> None:
    edit(checkout / file, old, new)
    done = step(project, "compile", checkout, "e" * 40)
    assert done.returncode == CodeError.exit_code
    message = error(done)
    assert message.startswith(told)
    assert str(checkout) not in message
    if told.endswith(":"):
        assert re.match(r"\d+[: ]", message.removeprefix(told)), message
    assert not (project.home / "storage" / PIPELINE / layout.revision("e" * 40)).exists()


def test_code_that_hangs_is_ended_at_the_limit(project: Project, checkout: Path) -> None:
    settings = project.folder / FOLDER / "settings.yaml"
    before = settings.read_text("utf-8")
    settings.write_text(before.replace("ci_cd:", "ci_cd:\n  limits: {seconds: 3}"), "utf-8")
    edit(checkout / "ml" / "cli.py", "import click", "import time\ntime.sleep(600)\nimport click")
    try:
        done = step(project, "compile", checkout, "e" * 40)
    finally:
        settings.write_text(before, "utf-8")
    assert done.returncode == CodeError.exit_code
    assert error(done) == "the steps of compiling took longer than 3 s and were ended (ci_cd.limits.seconds)"
