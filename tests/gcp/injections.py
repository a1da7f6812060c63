"""Which faults the tests of this folder inject at which calls, as their code says."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import chain, product
from pathlib import Path
from typing import Any

from tests.gcp.faults import Fault, Kind


def injected() -> dict[str, set[Kind]]:
    """By call, as in ``"CloudBuild.GetBuild"``: what an argument of ``faults.add`` in a test may be.

    Constants of the test's file, the values of its parameters and those of a loop around it are followed; what a test
    has from elsewhere is not.
    """
    found: dict[str, set[Kind]] = defaultdict(set)
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = import_module(f"{__package__}.{file.stem}")
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for call, fault in _of_test(node, vars(module)):
                    found[call].add(fault.kind)
    return found


def _of_test(test: ast.FunctionDef, constants: Mapping[str, Any]) -> Iterator[tuple[str, Fault]]:
    known = _parameters(constants[test.name])
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".faults.add"):
            scope = {**known, **_loops_around(node, test, known, constants)}
            for call, fault in product(*(_values(argument, scope, constants) for argument in node.args[:2])):
                if isinstance(fault, Fault):  # or None, which a test takes for no fault
                    yield call, fault


def _loops_around(
    node: ast.Call, test: ast.FunctionDef, known: Mapping[str, list[Any]], constants: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """The values of the names that a loop around ``node`` gives."""
    loops = [loop for loop in ast.walk(test) if isinstance(loop, ast.For) and node in ast.walk(loop)]
    return {ast.unparse(loop.target): list(chain(*_values(loop.iter, known, constants))) for loop in loops}


def _parameters(test: Any) -> dict[str, list[Any]]:
    """The values of each of the test's parameters."""
    values: dict[str, list[Any]] = defaultdict(list)
    for mark in getattr(test, "pytestmark", []):
        if mark.name != "parametrize":
            continue
        names, rows = mark.args
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        for row in rows:
            for name, value in zip(names, [row] if len(names) == 1 else row, strict=True):
                values[name].append(value)
    return values


def _values(expression: ast.expr, known: Mapping[str, list[Any]], constants: Mapping[str, Any]) -> Iterable[Any]:
    """All that ``expression`` may be."""
    used = sorted({node.id for node in ast.walk(expression) if isinstance(node, ast.Name)} & set(known))
    code = compile(ast.Expression(expression), "<test>", "eval")
    for row in product(*(known[name] for name in used)):
        yield eval(code, dict(constants), dict(zip(used, row, strict=True)))  # noqa: S307 - this folder's own code
