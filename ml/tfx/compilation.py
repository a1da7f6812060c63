"""From settings to ``graph.json``: builds the pipeline for a run that never happens, and writes down its edges."""

from __future__ import annotations

from collections.abc import Iterable

from tfx.dsl.components.base.base_node import BaseNode

from ml.graph import Graph, GraphNode, graph_source
from ml.home import pipeline_folder
from ml.pipeline_modules import bind_pipeline
from ml.settings import Settings
from ml.tfx.factory import create_pipeline
from ml.tfx.run_spec import RunSpec
from ml.tfx.sources import FUNCTIONS
from ml.user_code import load_function


def compile_graph(settings: Settings) -> Graph:
    """The graph of ``settings``' pipeline; the same on every TFX version and machine.

    Raises ``CodeError`` where a function that a component needs can't be imported from the pipeline's modules.
    """
    nowhere = RunSpec(run_id="compiled", pipeline_root="/", push_folder="/", schema_file="/", sources="")
    components = create_pipeline(settings, nowhere).components
    _check_functions(settings, components)
    depths: dict[str, int] = {}
    for component in components:  # in an order in which each comes after what it waits for
        depths[component.id] = 1 + max((depths[node.id] for node in component.upstream_nodes), default=0)
    return Graph(
        pipeline=settings.name,
        nodes=[_node(component) for component in sorted(components, key=lambda node: (depths[node.id], node.id))],
        source=graph_source(settings),
    )


def _check_functions(settings: Settings, components: Iterable[BaseNode]) -> None:
    """A component imports its function when it runs, which would be late to learn of a syntax error."""
    bind_pipeline(settings.name)
    for component in components:
        for key in FUNCTIONS:
            if named := component.exec_properties.get(key):
                load_function(pipeline_folder(settings.name), *named.rsplit(".", 1))


def _node(component: BaseNode) -> GraphNode:
    return GraphNode(
        id=component.id,
        type=f"{type(component).__module__}.{type(component).__name__}",
        upstream=sorted(node.id for node in component.upstream_nodes),
    )
