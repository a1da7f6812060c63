"""When the set-up builds: once, again after a change or an interruption, and never two at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.setup import build, environments, host
from scripts.setup.environments import TFX_1_16, TFX_1_21, Environment, Stamp, content, read_stamp, up_to_date
from scripts.setup.failure import SetupError
from scripts.setup.interpreters import Interpreter
from scripts.setup.steps import Steps, last_words

PROJECT = Path(__file__).resolve().parents[3]
TFX = Environment("tfx", "RESPAN_SETUP_TFX_PYTHON", (TFX_1_21, TFX_1_16))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "ml").mkdir(parents=True)
    for lock in (*TFX_1_16.locks, *TFX_1_21.locks):
        shutil.copy(PROJECT / lock.target, tmp_path / "project" / lock.target)
    return tmp_path / "project"


@pytest.fixture
def finished(project: Path, tmp_path: Path) -> Path:
    """A folder that looks as the set-up leaves it."""
    folder = tmp_path / "envs" / "tfx"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    stamp = Stamp("TFX 1.21", content(project, TFX_1_21, folder), sys.executable, "Python 3.12.1", None)
    stamp.write(folder)
    return folder


def test_a_finished_environment_is_up_to_date(project: Path, finished: Path) -> None:
    assert up_to_date(project, TFX, finished, {}) == read_stamp(finished)


def test_a_changed_lock_asks_for_a_new_set_up(project: Path, finished: Path) -> None:
    with (project / TFX_1_21.locks[0].target).open("a") as lock:
        lock.write("one-more==1.0\n")
    assert up_to_date(project, TFX, finished, {}) is None


def test_a_lock_of_the_other_tfx_does_not(project: Path, finished: Path) -> None:
    with (project / TFX_1_16.locks[0].target).open("a") as lock:
        lock.write("one-more==1.0\n")
    assert up_to_date(project, TFX, finished, {}) is not None


def test_an_interrupted_set_up_is_not_up_to_date(project: Path, finished: Path) -> None:
    environments.drop_stamp(finished)
    assert up_to_date(project, TFX, finished, {}) is None


def test_half_a_stamp_counts_as_none(project: Path, finished: Path) -> None:
    (finished / "respan-stamp.json").write_text('{"flavour": "TFX 1.21"')
    assert up_to_date(project, TFX, finished, {}) is None


def test_a_moved_environment_is_not_up_to_date(project: Path, finished: Path) -> None:
    moved = finished.rename(finished.parent / "moved")
    assert up_to_date(project, TFX, moved, {}) is None


def test_an_environment_whose_interpreter_is_gone_is_not_up_to_date(project: Path, finished: Path) -> None:
    (finished / "bin" / "python").unlink()
    (finished / "bin" / "python").symlink_to("/nowhere/python")
    assert up_to_date(project, TFX, finished, {}) is None


def test_another_choice_of_interpreter_asks_for_a_new_set_up(project: Path, finished: Path) -> None:
    assert up_to_date(project, TFX, finished, {TFX.override: sys.executable}) is None


def test_on_an_older_machine_the_newer_tfx_is_not_up_to_date(project: Path, finished: Path) -> None:
    older = Environment(TFX.name, TFX.override, (TFX_1_16,))
    assert up_to_date(project, older, finished, {}) is None


@pytest.mark.parametrize(
    ("glibc", "labels"),
    [((2, 36), ["TFX 1.16"]), ((2, 39), ["TFX 1.21", "TFX 1.16"]), ((3, 0), ["TFX 1.21", "TFX 1.16"])],
)
def test_the_c_library_decides_which_tfx(
    glibc: tuple[int, int], labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "glibc", lambda: glibc)
    _, tfx = environments.environments()
    assert [flavour.label for flavour in tfx.flavours] == labels


def test_a_missing_interpreter_is_told_in_one_line_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.setup.interpreters._homes", lambda _environment: [])
    with pytest.raises(SetupError) as told:
        environments.choose(Environment("tfx", "VARIABLE", (TFX_1_16,)), {"PATH": str(tmp_path)})
    message = str(told.value)
    assert message.startswith("TFX 1.16 needs Python 3.10: none on the PATH")
    assert "pyenv install 3.10" in message
    assert "VARIABLE" in message
    assert "\n" not in message


def test_a_missing_compiler_is_told_in_one_line(tmp_path: Path) -> None:
    python = Interpreter(Path(sys.executable), (3, 13, 0), True, tmp_path)
    with pytest.raises(SetupError, match=r"^pyfarmhash is compiled here and there is no C\+\+ compiler: install g\+\+"):
        host.check_can_compile(python, "pyfarmhash", {"PATH": str(tmp_path)})


def test_missing_headers_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "g++").touch(0o755)
    python = Interpreter(Path("/usr/bin/python3.13"), (3, 13, 5), True, tmp_path / "include")
    with pytest.raises(SetupError, match=r"has no headers: install them \(Debian: apt install python3\.13-dev\)$"):
        host.check_can_compile(python, "pyfarmhash", {"PATH": str(tmp_path)})


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(tmp_path / "setup.log", {"PATH": os.defpath}, tmp_path, os.open(tmp_path / ".lock", os.O_CREAT))


def test_a_download_that_fails_once_is_tried_again(steps: Steps, tmp_path: Path) -> None:
    flaky = "import pathlib, sys; f = pathlib.Path('tried'); e = f.exists(); f.touch(); sys.exit(not e)"
    steps.run("fetching", [sys.executable, "-c", flaky], tries=2)
    codes = [line for line in (tmp_path / "setup.log").read_text().splitlines() if line.startswith("[")]
    assert codes == ["[1]", "[0]"]


def test_a_failing_step_is_named_with_its_last_words_and_its_log(steps: Steps, tmp_path: Path) -> None:
    failing = "import sys; print('error: no space left'); sys.exit(3)"
    with pytest.raises(SetupError) as told:
        steps.run("installing requirements.txt", [sys.executable, "-c", failing], tries=2)
    assert str(told.value) == (
        f"installing requirements.txt failed: error: no space left (all of it: {tmp_path / 'setup.log'})"
    )


def test_last_words_prefer_the_cause_to_what_follows_it() -> None:
    assert last_words("error: failed to fetch\n  Caused by: tcp connect error\nhint: try again\n") == (
        "Caused by: tcp connect error"
    )


def test_two_set_ups_never_work_at_the_same_time(tmp_path: Path) -> None:
    waiting = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from scripts.setup.build import only_one\n"
        "with only_one(pathlib.Path(sys.argv[2])): print('in')"
    )
    command = [sys.executable, "-c", waiting, str(PROJECT), str(tmp_path)]
    with build.only_one(tmp_path):
        other = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert other.stderr is not None
        assert "waiting" in other.stderr.readline()
        assert other.poll() is None
    output, _ = other.communicate(timeout=60)
    assert output == "in\n"


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "envs").write_text("a file in the way")
    with pytest.raises(SetupError, match="set RESPAN_HOME to a folder that can be written"), build.only_one(tmp_path):
        pass


def test_children_compile_bytecode_whatever_the_users_shell_says(tmp_path: Path) -> None:
    mine = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/x", "VIRTUAL_ENV": "/y", "LANG": "C"}
    theirs = build.installing_variables(tmp_path, mine)
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV"} & set(theirs)
    assert theirs["LANG"] == "C"
