"""A pipeline end to end on its sample data: by itself, and a checkout's in the sandbox."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.errors import CodeError, ConflictError, SettingsError
from ml.home import pipeline_folder
from tests.ml.ci_cd.installed import FIRST, PIPELINE, SECOND, document, edit, error, new_checkout, step, warm
from tests.unit.warm.warm_project import Project, project_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project_in(tmp_path_factory.mktemp("installed"), preload=True) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A pipeline of its own, "own", in a folder of pipelines."""
    return shutil.copytree(pipeline_folder(PIPELINE), tmp_path / "pipelines" / "own")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, to see that nothing stays in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_the_code_of_a_checkout_runs_end_to_end_and_the_same_content_but_once(
    project: Project, tmp_path: Path, temporary: Path
) -> None:
    checkout = new_checkout(tmp_path / "checkout")
    arguments = ("--content", "same")
    result = document(step(project, "run-locally", checkout, FIRST, *arguments))
    assert (result["blessed"], result["samples"], result["reused"]) == (True, 480, False)
    assert result["metrics"]["accuracy"] >= 0.6
    assert result["held_back"]["evaluated"] == 120
    assert result["held_back"]["metric"] == "accuracy"
    assert result["held_back"]["value"] >= 0.6
    assert list(result["seconds"]) == sorted(["start", "samples", "span", "train", "release", "evaluate"])
    assert list(temporary.iterdir()) == []
    written = {path.name for path in (project.home / "storage" / PIPELINE).iterdir()}
    assert written == {"revisions"}, "the local run keeps away from the real storage"

    (checkout / "ml" / "cli.py").write_text("broken\n", "utf-8")
    again = document(step(project, "run-locally", checkout, SECOND, *arguments))
    assert again == {**result, "reused": True}


def test_a_node_that_fails_is_told_and_nothing_is_kept_as_passed(
    project: Project, tmp_path: Path, temporary: Path
) -> None:
    checkout = new_checkout(tmp_path / "checkout")
    executor = checkout / "ml" / "tfx" / "window_example_gen.py"
    edit(executor, "        window = WindowFiles", "        {}['missing']\n        window = WindowFiles")
    for _ in range(2):
        done = step(project, "run-locally", checkout, FIRST, "--content", "failing")
        assert done.returncode == CodeError.exit_code
        assert error(done) == "ImportExampleGen failed: KeyError: 'missing'"
    assert list(temporary.iterdir()) == []


def test_a_candidate_that_is_not_blessed_fails_the_run_and_what_is_kept_is_a_whole_home(
    project: Project, own: Path, temporary: Path, tmp_path: Path
) -> None:
    keep = tmp_path / "kept"
    arguments = ("local-run", "own", "--set", "training.epochs=1", "--set", "training.learning_rate=1e-6")
    done = warm(project, *arguments, "--keep", str(keep), "--json", RESPAN_PIPELINES=str(own.parent))
    assert done.returncode == CodeError.exit_code
    told = (
        r"the candidate of own is not blessed: accuracy 0\.\d+, .* training\.blessing_threshold is 0\.3; ci_cd\.local"
    )
    assert re.match(told, error(done))
    lines = done.stderr.splitlines()
    stages = [line.split(":")[0] for line in lines if re.fullmatch(r"[a-z]+: .* \(\d+\.\d s\)", line)]
    assert stages == ["start", "samples", "span", "train"]
    assert list(temporary.iterdir()) == []
    assert (keep / "storage" / "own" / "spans" / "span-1" / "span.json").is_file()
    assert not (keep / "storage" / "own" / "models").exists()
    again = warm(project, *arguments, "--keep", str(keep), "--json", RESPAN_PIPELINES=str(own.parent))
    assert again.returncode == ConflictError.exit_code
    assert error(again) == f"{keep} is not empty: name a folder of its own for this run"


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (
            None,
            SettingsError.exit_code,
            r" is missing: define write_samples\(folder\) there, which writes a few samples",
        ),
        ("def write_samples(folder): raise OSError('no')\n", CodeError.exit_code, r":1: OSError: no$"),
        ("import nowhere_to_be_found\n", CodeError.exit_code, r":1: ModuleNotFoundError: "),
        ("def write_samples(folder): pass\n", CodeError.exit_code, r": write_samples wrote no file$"),
        ("samples = []\n", CodeError.exit_code, r" defines no function write_samples"),
    ],
    ids=["missing", "raises", "import", "nothing", "undefined"],
)
def test_sample_data_that_is_not_there_or_not_written_is_told(
    project: Project, own: Path, temporary: Path, content: str | None, code: int, told: str
) -> None:
    (own / "sample_data.py").unlink()
    if content is not None:
        (own / "sample_data.py").write_text(content, "utf-8")
    done = warm(project, "local-run", "own", "--json", RESPAN_PIPELINES=str(own.parent))
    assert done.returncode == code
    assert re.match(re.escape(str(own / "sample_data.py")) + told, error(done))
    assert list(temporary.iterdir()) == []


def test_settings_of_the_local_run_are_checked_like_all_others(project: Project, own: Path) -> None:
    edit(own / "settings.yaml", "training.epochs: 3", "training.epochs: none")
    done = warm(project, "local-run", "own", "--json", RESPAN_PIPELINES=str(own.parent))
    assert done.returncode == SettingsError.exit_code
    assert "key `training.epochs` is 'none'" in error(done)
