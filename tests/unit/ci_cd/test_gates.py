"""The gates: which files they are called with, and what is told of their findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ml.ci_cd.gates import python_files, python_files_below, read_changed, read_findings, run_gates
from ml.ci_cd_settings import LimitSettings
from ml.errors import CodeError, MissingEnvironmentError, SettingsError

needs_ruff = pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is in Airflow's environment")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "pipelines" / "flowers").mkdir(parents=True)
    return folder


def call(checkout: Path, gates: list[str], *files: str) -> None:
    run_gates(
        gates,
        files,
        checkout=checkout,
        pipelines_path="pipelines",
        limits=LimitSettings(seconds=60),
        folder=checkout.parent / "sandbox",
    )


def refusal(checkout: Path, gates: list[str], *files: str) -> str:
    with pytest.raises(CodeError) as told:
        call(checkout, gates, *files)
    assert "\n" not in str(told.value)
    return str(told.value)


@needs_ruff
def test_a_finding_of_ruff_is_told_with_file_and_line(checkout: Path) -> None:
    (checkout / "a.py").write_text("import sys\n\nprint(sys.path)\nprint(unknown)\nprint(another)\n")
    assert refusal(checkout, ["ruff check"], "a.py") == "ruff check: a.py:4: F821 Undefined name `unknown` (and 1 more)"


@needs_ruff
def test_a_file_that_is_not_formatted_is_told_with_its_line(checkout: Path) -> None:
    (checkout / "a.py").write_text("x = 1\ny  =  2\n")
    assert refusal(checkout, ["ruff check", "ruff format --check"], "a.py").startswith("ruff format --check: a.py:2: ")


@needs_ruff
def test_a_gate_writes_nothing_to_the_checkout(checkout: Path) -> None:
    (checkout / "a.py").write_text("x = 1\n")
    call(checkout, ["ruff check", "ruff format --check"], "a.py")
    assert sorted(path.name for path in checkout.iterdir()) == ["a.py", "pipelines"]


def test_a_gate_that_tells_places_as_python_does_is_understood(checkout: Path) -> None:
    (checkout / "good.py").write_text("x = 1\n")
    (checkout / "bad.py").write_text("x = 1\ndef y(:\n")
    assert refusal(checkout, ["py_compile"], "bad.py", "good.py") == "py_compile: bad.py:2"


def test_all_gates_are_called_and_the_first_that_fails_is_told(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (checkout / "bad.py").write_text("x = = 1\n")
    assert refusal(checkout, ["tabnanny", "py_compile", "ast"], "bad.py").startswith("py_compile: ")
    assert capfd.readouterr().err.count("SyntaxError") >= 2


def test_a_gate_that_is_not_installed_is_an_error_of_the_environment(checkout: Path) -> None:
    (checkout / "a.py").write_text("x = 1\n")
    with pytest.raises(MissingEnvironmentError, match="no module nosuchgate in"):
        call(checkout, ["nosuchgate --strict"], "a.py")


def test_a_module_of_the_checkout_can_not_stand_in_for_a_gate(checkout: Path) -> None:
    (checkout / "py_compile.py").write_text("raise SystemExit(0)\n")
    (checkout / "bad.py").write_text("def y(:\n")
    assert refusal(checkout, ["py_compile"], "bad.py") == "py_compile: bad.py:1"


def test_a_gate_that_names_no_place_is_told_with_its_last_words(checkout: Path) -> None:
    (checkout / "a.py").write_text("x = 1\n")
    assert refusal(checkout, ["json.tool --nosuch"], "a.py").startswith("json.tool --nosuch: exit code 2: ")


def test_more_files_than_one_call_takes_are_all_looked_at(checkout: Path) -> None:
    folder = "pipelines/flowers/" + "f" * 150
    (checkout / folder).mkdir()
    files = [f"{folder}/{'n' * 150}{number}.py" for number in range(900)]
    for file in files:
        (checkout / file).touch()
    (checkout / files[-1]).write_text("def y(:\n")
    assert refusal(checkout, ["py_compile"], *files) == f"py_compile: {files[-1]}:1"


def test_a_file_that_looks_like_an_option_is_a_file(checkout: Path) -> None:
    (checkout / "-m.py").write_text("def y(:\n")
    assert refusal(checkout, ["py_compile"], "-m.py") == "py_compile: -m.py:1"


def test_only_python_files_within_the_checkout_are_taken(checkout: Path) -> None:
    (checkout / "a.py").touch()
    (checkout / "a.txt").touch()
    (checkout / "folder.py").mkdir()
    (checkout / "link.py").symlink_to("a.py")
    (checkout / "outside").symlink_to(checkout.parent)
    (checkout.parent / "b.py").touch()
    paths = ["a.py", "a.txt", "gone.py", "folder.py", "link.py", "outside/b.py", "../b.py", f"{checkout.parent}/b.py"]
    assert python_files(checkout, [*paths, "a.py", "\0.py", "x" * 5_000 + ".py"]) == ["a.py"]


def test_by_default_all_files_of_the_folder_are_taken(checkout: Path) -> None:
    (checkout / "pipelines" / "flowers" / "inner").mkdir()
    for name in ("pipelines/flowers/model.py", "pipelines/flowers/inner/b.py", "pipelines/other.py"):
        (checkout / name).touch()
    found = python_files_below(checkout, "pipelines/flowers")
    assert found == ["pipelines/flowers/inner/b.py", "pipelines/flowers/model.py"]


def test_changed_paths_are_read_whatever_their_names(tmp_path: Path) -> None:
    file = tmp_path / "paths"
    names = ["a b.py", "new\nline.py", os.fsdecode(b"\xff.py")]
    file.write_text(json.dumps(names))
    assert read_changed(file) == names
    file.write_text("null")
    assert read_changed(file) is None


@pytest.mark.parametrize(("content", "told"), [("{", "is no JSON"), ('["a", 1]', "a list of paths"), (None, "be read")])
def test_a_list_of_changed_paths_that_is_none_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "paths"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=told):
        read_changed(file)


@pytest.mark.parametrize(
    "line",
    [
        "a b.py:3:7: E501 too long",
        "  --> a b.py:3:7: E501 too long",
        "./a b.py:3: E501 too long",
        "/co/a b.py:3: E501 too long",
    ],
)
def test_a_place_is_found_in_the_formats_of_usual_tools(line: str) -> None:
    found = read_findings(f"a heading: 1\nother.py:1: no file of the change\n{line}\n", {"a b.py"}, Path("/co"))
    assert [str(finding) for finding in found] == ["a b.py:3: E501 too long"]


@needs_ruff
def test_the_command_names_the_finding_and_exits_with_10(checkout: Path, respan_home: Path) -> None:
    flowers = checkout / "ml" / "pipelines" / "image_classification"
    flowers.mkdir(parents=True)
    (flowers / "model.py").write_text("print(unknown)\n")

    def lint(*more: str) -> subprocess.CompletedProcess[str]:
        argv = ["ci-cd", "lint", "image_classification", "--checkout", str(checkout), "--revision", "a" * 40, *more]
        return subprocess.run([sys.executable, "-m", "ml", *argv], capture_output=True, text=True, check=False)

    done = lint()
    assert done.returncode == 10
    last = done.stderr.splitlines()[-1]
    assert last == ("error: ruff check: ml/pipelines/image_classification/model.py:1: F821 Undefined name `unknown`")
    paths = respan_home / "paths"
    paths.write_text('["README.md"]')
    assert "0 Python files pass" in lint("--changed", str(paths)).stdout
    (flowers / "model.py").write_text("x = 1\n")
    assert '"reused": false' in lint("--content", "c1", "--json").stdout
    assert '"reused": true' in lint("--content", "c1", "--json").stdout
    assert '"reused": false' in lint("--content", "c2", "--json").stdout
    assert '"reused": false' in lint("--json").stdout
