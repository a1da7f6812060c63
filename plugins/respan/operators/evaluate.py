"""The task that judges the released model on a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from respan.links import ReportLink
from respan.operators.command import MlCommandOperator


class EvaluateOperator(MlCommandOperator):
    """Runs ``python -m ml evaluate``; links to the report for people.

    :param pipeline: the pipeline's name.
    :param batch: the batch's id (templated, or another task's output).
    """

    template_fields: Sequence[str] = (*MlCommandOperator.template_fields, "batch")
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, pipeline: str, batch: Any, **kwargs: Any) -> None:
        super().__init__(arguments=["evaluate", pipeline, batch], **kwargs)
        self.pipeline = pipeline
        self.batch = batch
