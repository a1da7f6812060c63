"""How a training run starts: from a form's params to a command, and from another DAG to one run and no second."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from respan.links import TrainingRunLink
from respan.names import ci_cd_training_run_id, retraining_run_id
from respan.operators.training import StartRunOperator, TriggerTrainingOperator

from ml.ci_cd.modules import copy_modules
from ml.ci_cd.records import Scope
from ml.home import pipeline_storage
from ml.names import safe_id
from ml.runs import TrainingRun, read_run
from ml.storage import Storage
from tests.dags.pipeline_folders import PROJECT, write_pipeline
from tests.unit.data.published_spans import publish_span

REVISION = "0123456789abcdef0123456789abcdef01234567"
RUN_ID = "manual__2026-11-21T00:00:00+00:00"


@pytest.fixture(autouse=True)
def storage(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Of a pipeline with three spans. Light commands run with this interpreter as well as with TFX's."""
    monkeypatch.setenv("RESPAN_WARM_IDLE_SECONDS", "0")
    monkeypatch.setenv("RESPAN_TFX_PYTHON", sys.executable)
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    write_pipeline(tmp_path / "pipelines", "tried")
    storage = pipeline_storage("tried")
    for number in (1, 2, 3):
        publish_span(storage, number, {f"{number}-a": "cat", f"{number}-b": "dog"}, {f"{number}-c": "cat"})
    return storage


class DagRun:
    def __init__(self, run_type: str) -> None:
        self.run_type = run_type


def start(run_type: str = "manual", **params: Any) -> Any:
    given: dict[str, Any] = {
        "window": None,
        "settings": {},
        "target": None,
        "reason": None,
        "cause": None,
        "revision": None,
    }
    given |= params
    context: Any = {"params": given, "run_id": RUN_ID, "dag_run": DagRun(run_type)}
    return StartRunOperator(task_id="start_run", pipeline="tried").execute(context)


def started(storage: Storage) -> TrainingRun:
    return read_run(storage, RUN_ID)


def test_an_empty_form_starts_a_run_by_hand_on_the_newest_spans(storage: Storage) -> None:
    assert start() == {
        "run": safe_id(RUN_ID),
        "window": [2, 3],
        "cause": "manual",
        "reason": "started by hand",
        "revision": None,
        "image": None,
        "target": "local",
        "champion": None,
        "lost_classes": [],
    }
    assert started(storage).settings == {}


def test_window_settings_cause_and_reason_are_the_forms(storage: Storage) -> None:
    settings = {"training.epochs": 3, "tuner.enabled": False, "description": "a=b, 'c'", "data.eval_share": 0.25}
    start(window=[3, 1], settings=settings, cause="drift", reason='--json $(reboot); "two\nlines" …')
    run = started(storage)
    assert run.window == [1, 3]
    assert run.settings == {
        "training.epochs": "3",
        "tuner.enabled": "false",
        "description": "a=b, 'c'",
        "data.eval_share": "0.25",
    }
    assert (run.cause.value, run.reason) == ("drift", '--json $(reboot); "two\nlines" …')


@pytest.mark.parametrize("form", [{"target": "local"}, {"settings": {"target": "local"}}])
def test_the_forms_target_is_a_setting_of_the_run(storage: Storage, form: dict[str, Any]) -> None:
    start(**form)
    assert started(storage).settings == {"target": "local"}


def test_a_scheduled_run_knows_its_cause(storage: Storage) -> None:
    assert start("scheduled")["cause"] == "schedule"


def test_a_retry_finds_the_run_as_it_was_started(storage: Storage) -> None:
    assert start(window=[1]) == start(window=[1])


@pytest.mark.parametrize("reason", ["a\0b", "\ud800"])
def test_a_text_that_no_command_can_be_given_fails_the_task(storage: Storage, reason: str) -> None:
    with pytest.raises(AirflowFailException, match="no text"):
        start(reason=reason)


def test_a_revision_that_was_never_copied_fails_the_task_at_once(storage: Storage) -> None:
    with pytest.raises(AirflowFailException, match="never copied"):
        start(revision=REVISION)


def test_a_revisions_own_settings_are_loaded_by_the_command_and_not_by_airflow(
    storage: Storage, tmp_path: Path
) -> None:
    folder = write_pipeline(tmp_path / "checkout", "tried", "kind: image_classification\ndata: {window_spans: 1}\n")
    told = tmp_path / "loaded-by"
    with (folder / "settings.py").open("a") as module:
        module.write(f"\nimport os, pathlib\npathlib.Path({str(told)!r}).write_text(str(os.getpid()))\n")
    copy_modules(storage, "tried", folder, REVISION, Scope.MODULES, "image@sha256:1")
    result = start(revision=REVISION)
    assert (result["revision"], result["image"], result["window"]) == (REVISION, "image@sha256:1", [3])
    assert int(told.read_text()) != os.getpid()


class TaskInstance:
    """What Airflow's task instance answers, for one training run that exists or not."""

    def __init__(self, state: str | None, release: Any = None) -> None:
        self.state, self.release, self.asked = state, release, []  # type: ignore[var-annotated]

    def get_dr_count(self, *, dag_id: str, run_ids: list[str]) -> int:
        self.asked.append((dag_id, *run_ids))
        return int(self.state is not None)

    def get_dag(self, dag_id: str) -> Any:
        return type("Dag", (), {"is_paused": False})

    def get_dagrun_state(self, *, dag_id: str, run_id: str) -> str | None:
        self.asked.append((dag_id, run_id))
        return self.state

    def xcom_pull(self, **_which: Any) -> Any:
        return self.release


def trigger() -> TriggerTrainingOperator:
    run_id = ci_cd_training_run_id(REVISION, "modules")
    return TriggerTrainingOperator(
        task_id="train",
        training_dag_id="tried.training",
        training_run_id=run_id,
        conf={"revision": REVISION},
        result_task_id="publish",
    )


def test_a_training_run_is_triggered_with_the_id_that_was_asked_for() -> None:
    from airflow.sdk.exceptions import DagRunTriggerException

    with pytest.raises(DagRunTriggerException) as raised:
        trigger().execute({"ti": TaskInstance(None)})  # type: ignore[typeddict-item]
    assert raised.value.dag_run_id == "ci-cd-0123456789ab-modules"
    assert raised.value.conf == {"revision": REVISION}


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed"])
def test_a_training_run_that_is_there_is_waited_for_whoever_started_it(state: str) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    instance = TaskInstance(state)
    with pytest.raises(TaskDeferred):
        trigger().execute({"ti": instance})  # type: ignore[typeddict-item]
    assert instance.asked == [("tried.training", "ci-cd-0123456789ab-modules")]


def test_the_end_of_the_training_run_is_told() -> None:
    done: Any = {"ti": TaskInstance("success", {"version": 3})}
    assert trigger().execute_complete(done, None) == {
        "run_id": "ci-cd-0123456789ab-modules",
        "release": {"version": 3},
    }
    with pytest.raises(AirflowFailException, match="training run ci-cd-0123456789ab-modules failed: see its log"):
        trigger().execute_complete({"ti": TaskInstance("failed")}, None)  # type: ignore[typeddict-item]


def test_the_button_leads_to_the_training_run_of_that_id() -> None:
    key: Any = None
    link = TrainingRunLink().get_link(trigger(), ti_key=key)
    assert link.endswith("/dags/tried.training/runs/ci-cd-0123456789ab-modules")


def test_each_run_of_a_dag_has_one_training_run() -> None:
    assert retraining_run_id(RUN_ID) == retraining_run_id(RUN_ID) != retraining_run_id("another")
    with pytest.raises(ValueError, match="is no revision"):
        ci_cd_training_run_id("{{ a template }}", "modules")


def test_a_retrainings_training_run_is_named_after_it() -> None:
    from airflow.dag_processing.dagbag import DagBag

    dag: Any = DagBag(PROJECT / "dags").dags["tried.retraining"]
    template = dag.get_template_env().from_string(dag.get_task("train").training_run_id)
    assert template.render(run_id=RUN_ID) == f"retraining-{safe_id(RUN_ID)}"
