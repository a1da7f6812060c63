"""Which Python the set-up takes: from what answers, not from what a name promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.setup import interpreters
from scripts.setup.failure import SetupError


def fake_python(file: Path, version: str, **answers: object) -> Path:
    """An executable that answers the set-up's question as a Python of ``version`` would."""
    told: dict[str, object] = {
        "executable": str(file),
        "version": [int(part) for part in version.split(".")],
        "implementation": "CPython",
        "free_threaded": False,
        "missing": [],
        "ensurepip": True,
        "include": str(file.parent.parent / "include"),
    } | answers
    return script(file, f"cat <<'END'\n{json.dumps(told)}\nEND")


def script(file: Path, body: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
    file.chmod(0o755)
    return file


@pytest.fixture(autouse=True)
def no_home_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The account's own home folder may hold Pythons as well; here it is an empty one."""

    class Account:
        pw_dir = str(tmp_path / "nobody")

    monkeypatch.setattr("scripts.setup.interpreters.pwd.getpwuid", lambda _uid: Account)


def test_a_name_on_the_path_is_found(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "bin" / "python3.10", "3.10.13")
    found = interpreters.find([(3, 10)], {"PATH": str(tmp_path / "bin")})
    assert found is not None
    assert (found.executable, found.version) == (python, (3, 10, 13))


def test_python3_of_the_right_version_is_preferred_to_other_names(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "bin" / "python3", "3.12.1")
    fake_python(tmp_path / "bin" / "python3.12", "3.12.9")
    found = interpreters.find([(3, 12)], {"PATH": str(tmp_path / "bin")})
    assert found is not None
    assert found.executable == python


def test_a_shim_that_fails_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "shims" / "python3.10", "echo 'pyenv: python3.10: command not found' >&2\nexit 127")
    python = fake_python(tmp_path / "bin" / "python3.10", "3.10.2")
    found = interpreters.find([(3, 10)], {"PATH": f"{tmp_path / 'shims'}:{tmp_path / 'bin'}"})
    assert found is not None
    assert found.executable == python


def test_a_name_that_lies_about_its_version_is_passed_over(tmp_path: Path) -> None:
    fake_python(tmp_path / "bin" / "python3.10", "3.9.1")
    assert interpreters.find([(3, 10)], {"PATH": str(tmp_path / "bin")}) is None


def test_a_python_that_hangs_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "ANSWER_TIMEOUT", 0.2)
    assert interpreters.ask(script(tmp_path / "python3", "exec sleep 60")) is None


@pytest.mark.parametrize(
    "answers",
    [{"missing": ["sqlite3"]}, {"implementation": "PyPy"}, {"free_threaded": True}],
    ids=["without sqlite3", "not CPython", "free-threaded"],
)
def test_a_python_that_packages_do_not_install_on_is_passed_over(tmp_path: Path, answers: dict[str, object]) -> None:
    assert interpreters.ask(fake_python(tmp_path / "python3", "3.11.2", **answers)) is None


@pytest.mark.parametrize(
    ("folder", "variables"),
    [
        ("root/versions/3.10.13", {"PYENV_ROOT": "root"}),
        ("home/.pyenv/versions/3.10.13", {"HOME": "home"}),
        ("elsewhere/versions/3.10.13", {"PATH": "elsewhere/shims"}),
        ("root/cpython-3.10.13-linux-x86_64-gnu", {"UV_PYTHON_INSTALL_DIR": "root"}),
        ("data/uv/python/cpython-3.10.13-linux-x86_64-gnu", {"XDG_DATA_HOME": "data"}),
        ("home/.local/share/uv/python/cpython-3.10.13-linux-x86_64-gnu", {"HOME": "home"}),
        ("nobody/.pyenv/versions/3.10.13", {}),
    ],
)
def test_pythons_off_the_path_are_found(tmp_path: Path, folder: str, variables: dict[str, str]) -> None:
    python = fake_python(tmp_path / folder / "bin" / "python3.10", "3.10.13")
    found = interpreters.find([(3, 10)], {name: str(tmp_path / value) for name, value in variables.items()})
    assert found is not None
    assert found.executable == python


def test_the_newest_of_pyenvs_patch_versions_is_taken_by_number(tmp_path: Path) -> None:
    for version in ("3.10.2", "3.10.13", "3.10.9"):
        fake_python(tmp_path / "versions" / version / "bin" / "python3.10", version)
    found = interpreters.find([(3, 10)], {"PYENV_ROOT": str(tmp_path)})
    assert found is not None
    assert found.version == (3, 10, 13)


def test_versions_are_preferred_in_the_order_given(tmp_path: Path) -> None:
    for version in ("3.11.7", "3.12.1", "3.13.0"):
        fake_python(tmp_path / "versions" / version / "bin" / f"python{version[:4]}", version)
    found = interpreters.find([(3, 12), (3, 13), (3, 11)], {"PYENV_ROOT": str(tmp_path)})
    assert found is not None
    assert found.version == (3, 12, 1)


def test_the_users_own_choice_is_taken(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "mine", "3.10.4")
    found = interpreters.chosen("RESPAN_SETUP_TFX_PYTHON", [(3, 10)], {"RESPAN_SETUP_TFX_PYTHON": str(python)})
    assert found is not None
    assert found.executable == python


def test_a_choice_of_the_wrong_version_is_refused_by_name(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "mine", "3.9.4")
    with pytest.raises(SetupError, match=r"^VARIABLE=.*mine is Python 3\.9\.4; needed: Python 3\.12 or 3\.13$"):
        interpreters.chosen("VARIABLE", [(3, 12), (3, 13)], {"VARIABLE": str(python)})


def test_a_choice_that_does_not_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"^VARIABLE=.*missing doesn't run"):
        interpreters.chosen("VARIABLE", [(3, 10)], {"VARIABLE": str(tmp_path / "missing")})


def test_the_interpreter_that_runs_this_answers_truly() -> None:
    import sys

    found = interpreters.ask(Path(sys.executable))
    assert found is not None
    assert found.version == sys.version_info[:3]
    assert not found.executable.is_symlink()
