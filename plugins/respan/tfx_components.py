"""A pipeline's compiled graph as Airflow tasks."""

from __future__ import annotations

from airflow.sdk import TaskGroup

from ml.graph import Graph
from respan.operators.tfx_node import TfxNodeOperator


def tfx_components(graph: Graph, *, group_id: str = "components") -> TaskGroup:
    """A task group with one task for each component of ``graph``, and the graph's own edges.

    To be called within a ``DAG``. The training run, named after the DAG run, has to be started before (``ml.runs``).
    """
    with TaskGroup(group_id=group_id, tooltip=f"The TFX pipeline {graph.pipeline}") as group:
        tasks = {
            node.id: TfxNodeOperator(task_id=node.id, pipeline=graph.pipeline, node=node.id, component=node.type)
            for node in graph.nodes
        }
        for node in graph.nodes:
            for upstream in node.upstream:
                tasks[upstream] >> tasks[node.id]
    return group
