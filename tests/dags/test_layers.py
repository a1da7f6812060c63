"""The arrow goes one way: dags → plugins/respan → ml's light modules."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent

#: What Airflow's environment doesn't have, and what no DAG file may cost.
HEAVY = ("tensorflow", "tfx", "apache_beam", "keras", "matplotlib", "airflow.providers.google.cloud", "google.cloud")

IMPORT_ALL = """
import importlib, importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == heavy or name.startswith(heavy + ".") for heavy in {heavy!r}):
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocked())
for module in {modules!r}:
    importlib.import_module(module)
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""


def modules(folder: Path, package: str) -> list[str]:
    names = []
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        names.append(".".join([package, *(part for part in parts if part != "__init__")]).strip("."))
    return names


def imported_with_heavy_packages_blocked(names: list[str], tmp_path: Path, *heavy: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL.format(heavy=(*HEAVY, *heavy), modules=names)],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": os.pathsep.join(str(PROJECT / part) for part in (".", "plugins", "dags")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.slow
def test_every_plugin_module_imports_without_heavy_packages(tmp_path: Path) -> None:
    names = [*modules(PROJECT / "plugins" / "respan", "respan"), "respan_plugin"]
    assert len(names) > 15
    imported_with_heavy_packages_blocked(names, tmp_path)


@pytest.mark.slow
def test_dag_files_import_without_heavy_packages_and_without_pandas(tmp_path: Path) -> None:
    names = [name for name in modules(PROJECT / "dags", "") if name != "settings_check"]
    assert {"training", "evaluation", "retraining"} <= set(names)
    imported_with_heavy_packages_blocked(names, tmp_path, "pandas")


@pytest.mark.slow
def test_light_modules_of_ml_import_without_heavy_packages_or_airflow(tmp_path: Path) -> None:
    names = [f"ml.{file.stem}" for file in sorted((PROJECT / "ml").glob("[a-z]*.py"))]
    names += [f"ml.storage.{file.stem}" for file in sorted((PROJECT / "ml" / "storage").glob("[a-z]*.py"))]
    names += ["ml.warm.client", "ml.warm.environment", "ml.evaluation.records", "ml.evaluation.next_step"]
    names += [f"ml.ci_cd.{name}" for name in ("names", "records", "revisions", "scope")]
    loaded = imported_with_heavy_packages_blocked(names, tmp_path, "pandas", "airflow")
    assert "airflow" not in loaded


def test_nothing_in_ml_names_airflow_in_an_import() -> None:
    guilty = [
        file
        for file in (PROJECT / "ml").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(a.name.split(".")[0] in ("airflow", "respan") for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("airflow", "respan", "dags"))
    ]
    assert guilty == []


def test_airflow_takes_one_file_of_the_plugins_folder_for_a_plugin() -> None:
    from airflow._shared.module_loading import find_path_from_directory

    found = find_path_from_directory(PROJECT / "plugins", ".airflowignore", "glob")
    assert [Path(file).name for file in found if file.endswith(".py")] == ["respan_plugin.py"]
