"""On a managed Airflow, only ``requirements.txt`` is installed: every DAG is imported with no more than that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.dags.airflow_home import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_IMPORT = """
import json
from airflow.dag_processing.dagbag import DagBag
found = DagBag()
print(json.dumps({"dags": sorted(found.dags), "errors": found.import_errors}))
"""


def required() -> Iterator[Requirement]:
    """What ``requirements.txt`` installs on this Python."""
    for line in (PROJECT / "requirements.txt").read_text("utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def install(folder: Path) -> None:
    """Puts links to the files of what is required into ``folder``: an installation without a network."""
    for requirement in required():
        found = distribution(requirement.name)
        assert found.version in requirement.specifier, f"{requirement} is not installed: run make setup"
        for file in found.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            source, target = Path(str(found.locate_file(file))), folder / file
            _link(source, target)
            if file.suffix == ".py":  # else each module would be compiled anew
                _link(Path(cache_from_source(str(source))), Path(cache_from_source(str(target))))


def _link(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)


def test_every_dag_is_imported_where_only_the_requirements_are_installed(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    [packages] = environment.glob("lib/python3*/site-packages")
    install(packages)
    assert not (packages / "pytest").exists()  # which is installed here, and not required

    given = {name: value for name, value in os.environ.items() if not name.startswith(("RESPAN_", "PYTHON"))}
    told = subprocess.run(
        [str(environment / "bin" / "python"), "-c", _IMPORT],
        env={**given, "PYTHONPATH": str(PROJECT), "AIRFLOW_HOME": str(tmp_path / "airflow")},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.strip().splitlines()[-1])
    assert found["errors"] == {}
    stages = {dag.rsplit(".", 1)[-1] for dag in found["dags"] if dag.startswith("image_classification.")}
    assert stages == {"evaluation", "retraining", "training", "serving"}
