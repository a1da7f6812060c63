"""docs/google-cloud.md names every call with its permission and a test; the role of Airflow's account has no other, and
no fault was forgotten at any of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from tests.gcp.faults import Kind
from tests.gcp.injections import injected
from tests.gcp.services import all_services

DOCS = Path(__file__).resolve().parents[2] / "docs"
_ROW = re.compile(r"^\| `(\w+)\.(\w+)` \| `([\w.]+)` \| [^|]+ \| `([\w.]+)(?:::(\w+))?` \|$", re.MULTILINE)


def _rows() -> list[tuple[str, str, str, str, str]]:
    rows = _ROW.findall((DOCS / "google-cloud.md").read_text("utf-8"))
    assert len(rows) > 15
    return rows


def test_each_call_needs_the_permission_that_is_documented() -> None:
    services = {service.name.rsplit(".", 1)[-1]: service.methods for service in all_services()}
    for service, method, permission, _, _ in _rows():
        assert services[service][method].permission == permission, f"{service}.{method}"


def test_the_role_has_the_documented_permissions_and_no_other() -> None:
    role = yaml.safe_load((DOCS / "google-cloud" / "airflow-role.yaml").read_text("utf-8"))
    assert role["includedPermissions"] == sorted({permission for _, _, permission, _, _ in _rows()})


def test_each_call_has_the_test_that_is_documented() -> None:
    for service, method, _, file, name in _rows():
        tree = ast.parse((Path(__file__).parent / file).read_text("utf-8"))
        tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in tests, f"{service}.{method}: {file} has no {name}"


def test_each_fault_is_injected_at_each_documented_call() -> None:
    found = injected()
    calls = [f"{service}.{method}" for service, method, *_ in _rows()]
    missing = {call: set(Kind) - found.get(call, set()) for call in calls}
    assert {call: kinds for call, kinds in missing.items() if kinds} == {}
