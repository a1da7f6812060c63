"""The compiled graph of a pipeline, ``graph.json`` in its folder: which components a run has, and what each waits for.

Light, so that Airflow draws a training DAG without importing TFX. ``python -m ml compile`` writes the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from ml.errors import NotFoundError, SettingsError
from ml.home import PROJECT, pipeline_folder
from ml.records import Record
from ml.settings import Settings

FILE = "graph.json"

#: The files that decide which components there are.
_FACTORY = ("ml/tfx/factory.py",)


class GraphNode(Record):
    """One TFX component: its id, its type, and the ids of the components that it waits for, sorted."""

    id: str
    type: str
    upstream: list[str]


class Graph(Record):
    """Nodes in an order in which they can run. ``source`` tells whether the file is stale, see :func:`graph_source`."""

    pipeline: str
    nodes: list[GraphNode]
    source: str

    def node(self, node_id: str) -> GraphNode:
        for node in self.nodes:
            if node.id == node_id:
                return node
        known = ", ".join(node.id for node in self.nodes)
        raise NotFoundError(f"pipeline {self.pipeline} has no node {node_id!r}; it has: {known}")


def graph_file(pipeline: str) -> Path:
    return pipeline_folder(pipeline) / FILE


def read_graph(pipeline: str) -> Graph:
    """The compiled graph. Raises ``NotFoundError`` before the first ``compile``, ``SettingsError`` if it is damaged or
    another pipeline's, as in a copied folder."""
    file = graph_file(pipeline)
    remedy = f"run: python -m ml compile {pipeline}"
    try:
        graph = Graph.from_json(file.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"{file} is missing; {remedy}") from None
    except ValidationError as error:
        raise SettingsError(f"{file} is not a compiled graph: {error.errors()[0]['msg']}; {remedy}") from error
    if graph.pipeline != pipeline:
        raise SettingsError(f"{file} is the graph of pipeline {graph.pipeline}; {remedy}")
    return graph


def graph_source(settings: Settings) -> str:
    """SHA-256 (hex) of what the graph is made from: the factory's source and the settings that add components."""
    digest = hashlib.sha256(json.dumps({"tuner": settings.tuner.enabled}, sort_keys=True).encode())
    for name in _FACTORY:
        digest.update((PROJECT / name).read_bytes())
    return digest.hexdigest()
