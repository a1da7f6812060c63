"""A pipeline's compiled graph as Airflow tasks."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from ml.graph import Graph
from respan.operators.tfx_node import TfxNodeOperator


def tfx_components(graph: Graph, *, window: str, group_id: str = "components") -> TaskGroup:
    """A task group with one task for each component of ``graph`` and the graph's own edges.

    To be called within a ``DAG``. ``window`` is the spans that the run reads, ``1,2`` or a template of that. (Another
    task's output would draw an edge from that task to each component.)
    """
    with TaskGroup(group_id=group_id, tooltip=f"The TFX pipeline {graph.pipeline}") as group:
        tasks = {
            node.id: TfxNodeOperator(
                task_id=node.id, pipeline=graph.pipeline, node=node.id, component=node.type, window=window
            )
            for node in graph.nodes
        }
        for node in graph.nodes:
            for upstream in node.upstream:
                tasks[upstream] >> tasks[node.id]
    return group
