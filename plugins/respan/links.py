"""Buttons on tasks in Airflow's UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from ml.names import safe_id
from respan.names import training_run_id

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

#: Where the pages of :mod:`respan.ui` are mounted in Airflow's API server.
PAGES = "/respan"


def report_path(pipeline: str, batch: str) -> str:
    """The page that shows a batch's evaluation report."""
    return f"{PAGES}/reports/{quote(pipeline, safe='')}/{quote(batch, safe='')}"


class ReportLink(BaseOperatorLink):
    """From an evaluation to its report for people."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        task: Any = operator
        return report_path(task.pipeline, safe_id(task.batch)) if isinstance(task.batch, str) else ""


class TrainingRunLink(BaseOperatorLink):
    """From a retraining to the training run that it started."""

    name = "Training run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        task: Any = operator
        dag_id, run_id = task.training_dag_id, training_run_id(ti_key.run_id)
        return f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
