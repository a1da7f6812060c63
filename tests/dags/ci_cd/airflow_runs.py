"""Runs of a DAG in a real metadata database, whose one task is executed in this process through Airflow's own API."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

from airflow.sdk import DAG, timezone
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG

_BUNDLE = "tests"


@dataclass(frozen=True)
class Outcome:
    """How one execution of a task ended: its state, what it returned, what it deferred to (class path and arguments),
    the error's message, and its log."""

    state: str
    result: Any
    trigger: tuple[str, dict[str, Any]] | None
    error: str
    log: str


def make_database() -> None:
    """The tables, in the database of this process' AIRFLOW_HOME; nothing where they are there already."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name=_BUNDLE))


def store(dag: DAG) -> None:
    """Makes ``dag`` known, as the DAG processor does."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.utils.session import create_session

    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        SerializedDAG.bulk_write_to_db(_BUNDLE, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, _BUNDLE, session=session)


def start(dag: DAG, run_id: str, run_type: str, conf: dict[str, Any]) -> None:
    """Creates a running run of ``dag``, which is stored."""
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    scheduled = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    with create_session() as session:
        scheduled.create_dagrun(
            run_id=run_id,
            run_type=DagRunType(run_type),
            triggered_by=DagRunTriggeredByType.TEST,
            run_after=timezone.utcnow(),
            state=DagRunState.RUNNING,
            conf=conf,
            session=session,
        )


def set_run_state(dag: DAG, run_id: str, state: str | None) -> None:
    """Gives a run a state; None deletes it."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select

    mine = (DagRun.dag_id == dag.dag_id, DagRun.run_id == run_id)
    with create_session() as session:
        if state is None:
            session.execute(delete(DagRun).where(*mine))
        else:
            session.scalars(select(DagRun).where(*mine)).one().state = state


def execute(dag: DAG, run_id: str, *, deferred: bool = False) -> Outcome:
    """Executes the task of a run; with ``deferred`` also the trigger that it defers to, and the task again."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from sqlalchemy import select

    [task] = dag.tasks
    stored = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).get_task(task.task_id)
    with create_session() as session:
        query = select(TaskInstance).where(TaskInstance.dag_id == dag.dag_id, TaskInstance.run_id == run_id)
        instance = session.scalars(query).one()
        instance.refresh_from_task(stored)
        session.expunge_all()
    log = io.StringIO()
    with contextlib.redirect_stdout(log):
        ended = _run_task(ti=instance, task=task, run_triggerer=deferred)
    assert ended is not None, log.getvalue()
    state = str(getattr(ended.ti.state, "value", ended.ti.state))
    return Outcome(
        state=state,
        result=instance.xcom_pull(task_ids=task.task_id) if state == "success" else None,
        trigger=_trigger(ended.msg) if state == "deferred" else None,
        error=str(ended.error or ""),
        log=log.getvalue(),
    )


def _trigger(deferral: Any) -> tuple[str, dict[str, Any]]:
    from airflow.sdk.serde import deserialize

    arguments: Any = deserialize(deferral.trigger_kwargs)
    return deferral.classpath, arguments
