"""The parts of the warm process that decide: whom it is for, what a command sees, how its log stays small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml.home import PROJECT
from ml.warm.address import Address
from ml.warm.environment import command_environment


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter's path in an environment that has a package installed."""
    (tmp_path / "env/lib/python3.10/site-packages/tensorflow").mkdir(parents=True)
    (tmp_path / "env/pyvenv.cfg").touch()
    return tmp_path / "env/bin/python"


def test_an_address_stays_the_same_for_the_same_environment(python: Path) -> None:
    assert Address.of(python, {"RESPAN_HOME": "/home"}) == Address.of(python, {"RESPAN_HOME": "/home"})


def test_an_installed_package_changes_the_address(python: Path) -> None:
    before = Address.of(python, {}).name
    site_packages = python.parent.parent / "lib/python3.10/site-packages"
    (site_packages / "another").mkdir()
    os.utime(site_packages, ns=(1, 1))  # file systems' clocks may be coarse
    assert Address.of(python, {}).name != before


@pytest.mark.parametrize(
    ("variable", "changes"),
    [("TF_USE_LEGACY_KERAS", True), ("PYTHONPATH", True), ("LANG", True), ("RESPAN_STORAGE", False), ("TMPDIR", False)],
)
def test_a_variable_changes_the_address_if_it_is_read_at_start(python: Path, variable: str, changes: bool) -> None:
    assert (Address.of(python, {variable: "1"}).name != Address.of(python, {}).name) is changes


def test_what_a_command_sets_by_itself_does_not_change_the_address(python: Path) -> None:
    """Else the warm process, a command itself, would listen where no client looks."""
    program = (
        "import os, sys; from pathlib import Path; from ml.cli import run; from ml.warm.address import Address\n"
        "name = lambda: Address.of(Path(sys.argv[1]), os.environ).name\n"
        "before = name(); run(['warm', 'status']); assert name() == before"
    )
    environment = {"PATH": os.defpath, "RESPAN_HOME": str(python.parent)}
    subprocess.run([sys.executable, "-c", program, str(python)], check=True, cwd=PROJECT, env=environment)


def test_a_command_sees_no_secret_of_airflow() -> None:
    given = {
        "AIRFLOW__CORE__FERNET_KEY": "secret",
        "AIRFLOW_CONN_GOOGLE": "secret",
        "PYTHONPATH": "/of/another/interpreter",
        "RESPAN_HOME": "/home",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "https_proxy": "http://proxy",
    }
    kept = {"RESPAN_HOME", "TF_CPP_MIN_LOG_LEVEL", "https_proxy"}
    seen = command_environment(given)
    assert {name: value for name, value in seen.items() if not name.startswith("PYTHON")} == {
        name: given[name] for name in kept
    }
    assert seen["PYTHONPATH"] != given["PYTHONPATH"]


def test_the_log_is_cut_into_pieces_and_the_oldest_are_dropped(tmp_path: Path) -> None:
    # In a process of its own, since the log takes the place of standard output and error.
    program = (
        "import sys; from pathlib import Path; from ml.warm.log import Log\n"
        "log = Log(Path(sys.argv[1]))\n"
        "for number in range(60): log(f'{number} ' + 'x' * 100_000)\n"
        "print('what a package prints', flush=True)\n"
    )
    file = tmp_path / "logs" / "warm.log"
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, cwd=Path(__file__).parents[3])
    pieces = sorted(file.parent.iterdir())
    assert [piece.name for piece in pieces] == ["warm.log", "warm.log.1", "warm.log.2", "warm.log.3"]
    assert all(piece.stat().st_size < 1_200_000 for piece in pieces)
    assert file.read_text().endswith("what a package prints\n")
    assert " 59 xxx" in file.read_text()


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else() -> None:
    program = (
        "import os; from pathlib import Path; from ml.warm.log import Log\n"
        "log = Log(Path('/dev/full')); log('one'); log('two'); os._exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 7
