"""Buttons on tasks in Airflow's UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink, conf

from ml.names import safe_id
from respan.names import dag_id

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

#: Where the pages of :mod:`respan.ui` are mounted in Airflow's API server.
PAGES = "/respan"


def report_path(pipeline: str, batch: str) -> str:
    """The page that shows a batch's evaluation report."""
    return _below_root(f"{PAGES}/reports/{quote(pipeline, safe='')}/{quote(batch, safe='')}")


def dag_path(pipeline: str, life_stage: str) -> str:
    """Airflow's own page of one of a pipeline's DAGs."""
    return _below_root(f"/dags/{quote(dag_id(pipeline, life_stage), safe='')}")


def run_path(dag_id: str, run_id: str) -> str:
    """Airflow's own page of a run."""
    return _below_root(f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}")


def run_url(dag_id: str, run_id: str) -> str | None:
    """The same with Airflow's own address, for who is elsewhere; None where ``[api] base_url`` is not set."""
    base = urlsplit(conf.get("api", "base_url", fallback=""))
    host = base.netloc.rpartition("@")[2]
    return f"{base.scheme}://{host}{run_path(dag_id, run_id)}" if base.scheme and host else None


def _below_root(path: str) -> str:
    """``path`` where Airflow itself is served below a path."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + path


class ReportLink(BaseOperatorLink):
    """From an evaluation to its report for people."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        task: Any = operator
        return report_path(task.pipeline, safe_id(task.batch)) if isinstance(task.batch, str) else ""


class TrainingRunLink(BaseOperatorLink):
    """To the training run that a task started, or waits for."""

    name = "Training run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        task: Any = operator
        return run_path(task.training_dag_id, task.training_run_id)


class VertexJobLink(BaseOperatorLink):
    """To the pipeline job that a task submitted, in the Google Cloud console."""

    name = "Vertex AI pipeline"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        task: Any = operator
        return str(task.vertex_link)


class VertexLogLink(VertexJobLink):
    """To a component's log in the Google Cloud console, or to the pipeline job while it has none."""

    name = "Vertex AI log"
