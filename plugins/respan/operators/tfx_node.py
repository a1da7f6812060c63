"""A task that is one component of a TFX pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from respan.operators.command import MlCommandOperator


class TfxNodeOperator(MlCommandOperator):
    """Runs one node of a pipeline's compiled graph through TFX's own launcher: driver, cache, executor, publisher.

    What the run reads was fixed when it started (``ml.runs``). A retry or a cleared task runs the node again in the
    same TFX run, and takes from TFX's cache what is unchanged.

    :param pipeline: the pipeline's name.
    :param node: the node's id in ``graph.json``.
    :param component: its type, whose last part the UI shows as the task's type.
    :param run_id: the training run (templated).
    """

    template_fields: Sequence[str] = (*MlCommandOperator.template_fields, "node")
    ui_color = "#fdebd3"

    def __init__(
        self, *, pipeline: str, node: str, component: str, run_id: str = "{{ run_id }}", **kwargs: Any
    ) -> None:
        super().__init__(arguments=["run-node", pipeline, "--node", node, "--run-id", run_id], **kwargs)
        self.node = node
        self.component = component

    @property
    def operator_name(self) -> str:
        return self.component.rsplit(".", 1)[-1]
