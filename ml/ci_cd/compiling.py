"""What a pipeline compiles to at a revision: its graph and its Vertex AI pipeline, kept and compared.

The code of the checkout compiles itself, in a sandbox; what it wrote is read here and never executed.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml import layout
from ml.ci_cd.checkout_command import checkout_command
from ml.ci_cd.folders import read_file
from ml.errors import CodeError, NotFoundError
from ml.graph import FILE, Graph
from ml.settings import Settings
from ml.storage import Storage

#: The documents of a compiled revision, by their names in storage.
DOCUMENTS = (layout.COMPILED_GRAPH, layout.COMPILED_SPEC)

_LARGEST = 8 * 2**20
_MOST_LINES = 20_000
_SHOWN_LINES = 200
_LONGEST_LINE = 200

Documents = Mapping[str, bytes]


@dataclass(frozen=True)
class Change:
    """How the documents differ from those of another revision: ``added`` and ``removed`` are the graph's nodes,
    ``diff`` the lines of a unified diff, as they are shown; ``diff_lines`` counts the changed lines of all."""

    added: list[str]
    removed: list[str]
    changed: bool
    diff_lines: int
    diff: list[str]


def compile_checkout(settings: Settings, checkout: Path, folder: Path) -> Documents:
    """Has the checkout compile the pipeline in a sandbox in ``folder``.

    Raises ``CodeError`` where it doesn't compile, or the graph.json in the checkout is not what it compiles to.
    """
    graph, spec = (folder / name for name in DOCUMENTS)
    command = ["compile", settings.name, "--graph", str(graph), "--spec", str(spec)]
    checkout_command(command, what="the steps of compiling", settings=settings, checkout=checkout, folder=folder)
    documents: dict[str, bytes] = {}
    for file in (graph, spec):
        content = read_file(file, _LARGEST + 1)
        if content is None or len(content) > _LARGEST:
            raise CodeError(f"compiling {settings.name} wrote no {file.name} of at most {_LARGEST >> 20} MiB")
        documents[file.name] = content
    _check_committed(settings, checkout, documents[layout.COMPILED_GRAPH])
    return documents


def node_ids(documents: Documents) -> list[str]:
    """The ids of the graph's nodes, in its order. Raises ``CodeError`` for what isn't a graph."""
    try:
        graph: Any = json.loads(documents[layout.COMPILED_GRAPH])
        return [str(node["id"]) for node in graph["nodes"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CodeError(f"what was compiled is no graph: {type(error).__name__}: {error}") from None


def keep(storage: Storage, revision: str, documents: Documents) -> None:
    """Stores the documents of a revision. A repeat replaces them."""
    for name, content in documents.items():
        storage.write(layout.revision(revision, name), content)


def kept(storage: Storage, revision: str) -> Documents | None:
    """The documents of a revision that was compiled; None where some aren't there."""
    try:
        return {name: storage.read(layout.revision(revision, name)) for name in DOCUMENTS}
    except NotFoundError:
        return None


def compare(before: Documents | None, after: Documents) -> Change:
    """The change from one revision's documents to another's; ``before`` is None for the first."""
    nodes = node_ids(after)
    if before is None:
        return Change(added=nodes, removed=[], changed=True, diff_lines=0, diff=[])
    nodes_before = node_ids(before)
    diffs = [_diff(name, before[name], after[name]) for name in DOCUMENTS]
    return Change(
        added=[node for node in nodes if node not in nodes_before],
        removed=[node for node in nodes_before if node not in nodes],
        changed=any(before[name] != after[name] for name in DOCUMENTS),
        diff_lines=sum(line.startswith(("+", "-")) for _heading, lines in diffs for line in lines),
        diff=_shown([line for heading, lines in diffs for line in (*heading, *lines)]),
    )


def _check_committed(settings: Settings, checkout: Path, compiled: bytes) -> None:
    name = f"{settings.ci_cd.pipelines_path}/{settings.name}/{FILE}"
    committed = read_file(checkout / name, _LARGEST)
    remedy = f"run `python -m ml compile {settings.name}` and commit the file"
    if committed is None:
        raise CodeError(f"{name} is missing: {remedy}")
    try:
        stale = Graph.from_json(committed) != Graph.from_json(compiled)
    except ValidationError:
        stale = True
    if stale:
        raise CodeError(f"{name} is stale: {remedy}")


def _diff(name: str, before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    """The heading of a unified diff, and its lines; nothing where there is no difference."""
    old, new = (content.decode("utf-8", "replace").splitlines() for content in (before, after))
    if old == new:
        return [], []
    if max(len(old), len(new)) > _MOST_LINES:
        return [f"--- {name}: {len(old):,} lines", f"+++ {name}: {len(new):,} lines, too many to compare"], []
    lines = list(difflib.unified_diff(old, new, f"{name} (before)", f"{name} (now)", n=2, lineterm=""))
    return lines[:2], lines[2:]


def _shown(lines: list[str]) -> list[str]:
    shown = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in lines[:_SHOWN_LINES]]
    if len(lines) > _SHOWN_LINES:
        shown.append(f"… and {len(lines) - _SHOWN_LINES:,} more lines")
    return shown
