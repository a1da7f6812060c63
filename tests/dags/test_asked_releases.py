"""Who decides about a release: the comparison, or a person that the training DAG asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from respan.operators.publish import PublishOperator

from ml import layout
from ml.comparison.records import Comparison, GateDecision, Outcome
from ml.home import pipeline_storage
from ml.names import safe_id
from tests.dags.airflow_home import PROJECT
from tests.dags.pipeline_folders import write_pipeline

#: In place of TFX's interpreter: returns what it was called with.
ECHO = '#!/bin/sh\nshift 2\nprintf \'{"arguments": "%s"}\\n\' "$*"\n'


class TaskInstance:
    """What a task reads of others, and what it leaves for them."""

    def __init__(self, **results: Any) -> None:
        self.results = results
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.results.get(task_ids)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture(params=["approval: true", "when_unsure: ask"])
def asking(request: pytest.FixtureRequest, respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A training DAG with an approval, and the setting that brought it."""
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    write_pipeline(tmp_path / "pipelines", "asking", f"kind: image_classification\ntraining: {{{request.param}}}\n")
    return request.param, DagBag(PROJECT / "dags").dags["asking.training"]


def next_task(dag: Any, *, pushed: bool, decision: GateDecision) -> tuple[str | None, str]:
    """What `is_blessed` leads to, and what the person is shown."""
    storage, instance, run = pipeline_storage("asking"), TaskInstance(), safe_id("run")
    if pushed:
        storage.write(layout.run(run, "pushed/1/saved_model.pb"), b"model")
    comparison = Comparison(champion=3, outcome=Outcome.CANT_TELL, decision=decision, reasons=["Too few."], metric="m")
    storage.write(layout.run(run, layout.COMPARISON), comparison.to_json())
    chosen = dag.get_task("is_blessed").python_callable(run_id="run", ti=instance)
    return chosen, str(instance.pushed.get("comparison"))


def test_a_person_is_asked_where_the_comparison_or_the_settings_want_it(asking: Any) -> None:
    setting, dag = asking
    assert next_task(dag, pushed=True, decision=GateDecision.ASK) == ("approve", "Too few.")
    always = setting.startswith("approval")
    assert next_task(dag, pushed=True, decision=GateDecision.RELEASE)[0] == ("approve" if always else "publish")


def test_nobody_is_asked_about_a_candidate_that_is_refused(asking: Any) -> None:
    assert next_task(asking[1], pushed=False, decision=GateDecision.REFUSE)[0] is None


def test_the_person_sees_how_the_candidate_compares(asking: Any) -> None:
    assert "xcom_pull(task_ids='is_blessed', key='comparison')" in asking[1].get_task("approve").body


@pytest.mark.parametrize("approved", [None, {"chosen_options": ["Approve"]}])
def test_a_release_is_confirmed_by_whom_the_dag_asked(
    respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, approved: Any
) -> None:
    echo = tmp_path / "echo"
    echo.write_text(ECHO)
    echo.chmod(0o755)
    monkeypatch.setenv("RESPAN_TFX_PYTHON", str(echo))
    monkeypatch.setenv("RESPAN_WARM_IDLE_SECONDS", "0")
    publish = PublishOperator(task_id="publish", pipeline="asking", run_id="run", confirmed_by="approve")
    context: Any = {"ti": TaskInstance(approve=approved)}
    called = publish.execute(context)["arguments"]
    assert ("--confirm" in called.split()) is (approved is not None)
