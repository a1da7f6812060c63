"""How Airflow keeps the asset's watcher, in a real metadata database."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.asset import Asset
from airflow.triggers.base import TriggerEvent
from respan import assets

from tests.dags.ci_cd.airflow_runs import make_database, store

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def database() -> None:
    make_database()


def dag_watching(name: str, asset: Asset) -> DAG:
    with DAG(name, schedule=[asset]) as dag:
        pass
    return dag


def pause(dag: DAG, paused: bool) -> None:
    """As a person does, and the DAG processor, which reads the file again."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id == dag.dag_id).values(is_paused=paused))
    store(dag)


def watching(pipeline: str) -> list[tuple[int, str, dict[str, Any]]]:
    """The triggers that watch for a pipeline: id, class path and arguments."""
    from airflow.models.asset import AssetModel
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from sqlalchemy import select

    Trigger.clean_unused()
    with create_session() as session:
        asset = session.scalars(select(AssetModel).where(AssetModel.name == f"{pipeline}.revision")).one()
        return [(trigger.id, trigger.classpath, trigger.kwargs) for trigger in asset.triggers]


def queued_for(dag: DAG) -> int:
    """Whether an event waits to become a run of ``dag``."""
    from airflow.models.asset import AssetDagRunQueue
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    query = select(func.count()).select_from(AssetDagRunQueue).where(AssetDagRunQueue.target_dag_id == dag.dag_id)
    with create_session() as session:
        return session.scalar(query) or 0


def test_the_branch_is_watched_while_the_dag_is_active_by_one_trigger() -> None:
    dag = dag_watching("roses.ci_cd", assets.revision("roses"))
    store(dag)
    assert watching("roses") == []  # new DAGs are paused
    pause(dag, False)
    [(number, path, arguments)] = watching("roses")
    assert (path, arguments["pipeline"]) == ("respan.triggers.git_revision.GitRevisionTrigger", "roses")
    store(dag)
    assert [found[0] for found in watching("roses")] == [number]
    pause(dag, True)
    assert watching("roses") == []
    pause(dag, False)
    assert len(watching("roses")) == 1


def test_an_event_of_the_trigger_starts_the_dag_that_is_scheduled_on_the_asset() -> None:
    from airflow.models.trigger import Trigger

    dag = dag_watching("tulips.ci_cd", assets.revision("tulips"))
    store(dag)
    pause(dag, False)
    [(number, _, _)] = watching("tulips")
    payload = {"pipeline": "tulips", "branch": "main", "revision": "a" * 40}
    Trigger.submit_event(number, TriggerEvent(payload))  # type: ignore[no-untyped-call]
    assert queued_for(dag) == 1


def test_another_dag_that_names_the_asset_without_the_watcher_ends_the_watching() -> None:
    """Why everybody has to take the asset from ``respan.assets.revision``."""
    dag = dag_watching("lilies.ci_cd", assets.revision("lilies"))
    store(dag)
    pause(dag, False)
    bare = Asset(name="lilies.revision", uri="x-respan://lilies/revision", group="respan")
    store(dag_watching("other", bare))
    assert watching("lilies") == []
    store(dag)
    store(dag_watching("other", assets.revision("lilies")))
    assert len(watching("lilies")) == 1
