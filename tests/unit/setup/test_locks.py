"""The locks in the project are fresh, say why each package is there, and name no place they were made at."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.setup.environments import AIRFLOW, TFX_1_16, TFX_1_21
from scripts.setup.locks import LOCKS, Lock, is_stale, stamp_line

PROJECT = Path(__file__).resolve().parents[3]
SOURCES = ["requirements.in", "requirements-dev.in", *sorted(f"ml/{f.name}" for f in (PROJECT / "ml").glob("*.in"))]


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(PROJECT), "ls-files", "-z"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [file for name in listed.stdout.decode().split("\0") if name and (file := PROJECT / name).is_file()]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.target)
def test_the_lock_was_compiled_from_what_is_there_now(lock: Lock) -> None:
    assert not is_stale(PROJECT, lock), f"{lock.target} is stale: run `make lock`"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "ml").mkdir()
    for name in [*SOURCES, *(lock.target for lock in LOCKS)]:
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ("requirements.in", {"requirements.txt"}),
        ("requirements-dev.in", {"requirements-dev.txt"}),
        ("requirements.txt", {"requirements-dev.txt"}),
        ("ml/requirements.in", {"ml/requirements-tfx1.16.txt", "ml/requirements-tfx1.21.txt"}),
        ("ml/requirements-tfx1.21.in", {"ml/requirements-tfx1.21.txt"}),
    ],
)
def test_a_changed_source_makes_the_locks_made_from_it_stale(sources: Path, changed: str, stale: set[str]) -> None:
    with (sources / changed).open("a") as file:
        file.write("another-package\n")
    assert {lock.target for lock in LOCKS if is_stale(sources, lock)} == stale


def test_another_date_makes_a_lock_stale(sources: Path) -> None:
    lock = LOCKS[0]
    later = Lock(lock.source, lock.target, lock.pythons, "2031-01-01T00:00:00Z")
    assert stamp_line(sources, later) != stamp_line(sources, lock)


def test_a_missing_lock_is_stale(sources: Path) -> None:
    (sources / LOCKS[0].target).unlink()
    assert is_stale(sources, LOCKS[0])


@pytest.mark.parametrize("name", SOURCES)
def test_every_requirement_says_why_it_is_there(name: str) -> None:
    lines = (PROJECT / name).read_text("utf-8").splitlines()
    requirements = [line for line in lines if line and not line.startswith(("#", "-"))]
    assert [line for line in requirements if not re.search(r"  # \S", line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.target)
def test_every_package_in_a_lock_has_one_exact_version(lock: Lock) -> None:
    lines = (PROJECT / lock.target).read_text("utf-8").splitlines()
    loose = [line for line in lines if line and not re.match(r"\s*#|[a-z0-9._\[\],-]+==[^=\s]+( ;|$)", line)]
    assert loose == []


@pytest.mark.parametrize("flavour", [AIRFLOW, TFX_1_16, TFX_1_21], ids=lambda flavour: flavour.label)
def test_every_environment_has_a_lock_that_is_compiled(flavour: object) -> None:
    assert isinstance(flavour, type(AIRFLOW))
    assert set(flavour.locks) <= set(LOCKS)


def test_no_lock_names_an_index_or_a_file() -> None:
    for lock in LOCKS:
        text = (PROJECT / lock.target).read_text("utf-8")
        assert not re.search(r"://|^-|@ |^/", text, re.MULTILINE), lock.target


def test_no_tracked_file_names_a_registry_or_a_home_folder() -> None:
    # Put together here, so that this file doesn't name them either.
    hosts = "|".join(re.escape(host) for host in ("files.python" + "hosted.org", "pypi" + ".org/simple"))
    places = re.compile(rf"{hosts}|/ro{''}ot/|/home/[a-z]+/|/Users/[a-z]+/".encode())
    naming = [str(file.relative_to(PROJECT)) for file in tracked_files() if places.search(file.read_bytes())]
    assert naming == []
