"""
Ships a change of the code: from a revision in a git repository to a training run with it.

Starts when the watched branch has a new revision, by hand (with a form), or through the REST API. What has changed
since the last processed revision decides the **scope**:

* **none**: documentation, or another pipeline's folder. Nothing is to be done.
* **modules**: only this pipeline's modules, their tests or its settings. They are copied to storage, and training runs
  with them.
* **whole**: anything else. The container image is built first, where one is wanted.

Before anything is built, the revision is linted, its tests run, its pipeline is compiled, and it runs from end to end
on sample data; each in a sandbox, and each only once for the same content. If a step fails, nothing is shipped: push a
fix, or mend what was wrong and clear the failed task with all that is downstream, so that the commit status is reported
again. Several pushes are processed as one change. For each revision and scope there is one training run.
"""

from __future__ import annotations

import logging
from typing import Any, get_args

from airflow.sdk import Param, TaskGroup, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException
from respan.assets import revision as revision_asset
from respan.discovery import usable_pipelines
from respan.failures import told_to_airflow
from respan.git import ensure_checkout, remove_workspace
from respan.names import dag_id
from respan.operators.build_image import BuildImageOperator
from respan.operators.checkout import CheckoutCommandOperator, CloneOperator
from respan.operators.commit_status import report_commit_status
from respan.operators.training import TriggerTrainingOperator
from respan.pipeline_dag import pipeline_dag
from respan.sensors.git_revision import GitRevisionSensor
from respan.training_request import not_released

from ml import windows
from ml.ci_cd.names import REVISION_PATTERN
from ml.ci_cd.records import ProcessedRevision, Scope
from ml.ci_cd.revisions import record_processed
from ml.ci_cd.scope import Decision, decide
from ml.home import pipeline_storage
from ml.records import TrainingCause, now
from ml.settings import Settings

log = logging.getLogger("respan.ci_cd")

AUTO = "auto"

PARAMS = {
    "revision": Param(
        None,
        type=["null", "string"],
        pattern=REVISION_PATTERN,
        title="Revision",
        description="A commit's full id. Empty: the newest one of the branch.",
    ),
    "branch": Param(
        None, type=["null", "string"], minLength=1, title="Branch", description="Empty: the one in the settings."
    ),
    "scope": Param(
        AUTO,
        type="string",
        enum=[AUTO, Scope.MODULES.value, Scope.WHOLE.value],
        title="Scope",
        description="auto: by what has changed since the last processed revision. Another one: processed again.",
    ),
    "target": Param(
        None,
        type=["null", "string"],
        enum=[None, *get_args(Settings.model_fields["target"].annotation)],
        title="Target",
        description="Where the training runs. Empty: as the settings say.",
    ),
}

REVISION = "{{ ti.xcom_pull(task_ids='detect')['revision'] }}"
PREVIOUS = "{{ ti.xcom_pull(task_ids='detect')['previous'] or '' }}"
IMAGE = "{{ (ti.xcom_pull(task_ids='ship.build_image') or {}).get('image') or '' }}"
SCOPE = "{{ ti.xcom_pull(task_ids='decide_scope', key='scope') }}"


def ci_cd(settings: Settings) -> None:
    name, rules = settings.name, settings.ci_cd

    @task.branch(task_id="decide_scope")
    def decide_scope(detected: Any, *, params: Any = None, run_id: Any = None, ti: Any = None) -> str:
        if params["scope"] == AUTO:
            with told_to_airflow():
                checkout = ensure_checkout(settings, run_id, detected["revision"], detected["previous"])
            decision = decide(checkout.changed, name, rules)
        else:
            decision = Decision(Scope(params["scope"]), f"{params['scope']}: asked for")
        log.info("%s", decision.reason)
        ti.xcom_push("scope", decision.scope.value)
        ti.xcom_push("reason", decision.reason)
        return "processed" if decision.scope is Scope.NONE else "verify.lint"

    @task.branch(task_id="needs_image")
    def needs_image(*, ti: Any = None) -> str:
        whole = ti.xcom_pull(task_ids="decide_scope", key="scope") == Scope.WHOLE.value
        return "ship.build_image" if whole and rules.image.builder != "none" else "ship.copy_modules"

    @task.branch(task_id="has_data")
    def has_data(detected: Any, *, params: Any = None, ti: Any = None) -> str:
        with told_to_airflow():
            if not windows.complete_spans(pipeline_storage(name)):
                log.info("there is no span to train on yet: the first training will use this revision")
                return "processed"
        scope_reason = ti.xcom_pull(task_ids="decide_scope", key="reason")
        conf = {
            "revision": detected["revision"],
            "cause": TrainingCause.CODE_CHANGE.value,
            "reason": f"revision {detected['revision'][:12]} of {detected['branch']}, {scope_reason}"[:300],
        }
        ti.xcom_push("conf", conf | ({"settings": {"target": params["target"]}} if params["target"] else {}))
        return "train"

    @task(task_id="is_released")
    def is_released(trained: Any) -> dict[str, Any]:
        if told := not_released(trained):
            raise AirflowFailException(told)
        release: dict[str, Any] = trained["release"]
        return release

    @task(task_id="processed", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    def processed(detected: Any, *, run_id: Any = None, ti: Any = None) -> None:
        scope = Scope(ti.xcom_pull(task_ids="decide_scope", key="scope"))
        with told_to_airflow():
            record_processed(
                pipeline_storage(name),
                ProcessedRevision(
                    branch=detected["branch"], revision=detected["revision"], scope=scope, run=run_id, at=now()
                ),
            )

    @task(task_id="clean_up")
    def clean_up(*, run_id: Any = None) -> None:
        remove_workspace(name, run_id)

    def step(task_id: str, *arguments: str, **kwargs: Any) -> CheckoutCommandOperator:
        """The task that runs the command of its name on the checkout."""
        command = ["ci-cd", task_id.replace("_", "-"), name, *arguments]
        return CheckoutCommandOperator(task_id=task_id, arguments=command, pipeline=name, revision=REVISION, **kwargs)

    detect = GitRevisionSensor(
        task_id="detect",
        pipeline=name,
        revision="{{ params.revision or '' }}",
        branch="{{ params.branch or '' }}",
        scope="{{ params.scope }}",
        wait=False,
    )
    clone = CloneOperator(task_id="clone", pipeline=name, revision=REVISION, previous=PREVIOUS)
    with TaskGroup("verify", tooltip="Is the revision any good?") as verify:
        # Any Python file of the repository may have changed, and any file may configure a gate.
        lint = step("lint", environment="airflow", previous=PREVIOUS, content_paths=[""])
        lint >> step("test") >> step("compile", "--previous", PREVIOUS) >> step("run_locally")
    with TaskGroup("ship", tooltip="Image and modules"):
        build_image = BuildImageOperator(task_id="build_image", pipeline=name, revision=REVISION)
        copy_modules = step(
            "copy_modules",
            *("--scope", SCOPE, "--image", IMAGE),
            pristine=True,
            trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        )
    data: Any = has_data(detect.output)
    train = TriggerTrainingOperator(
        task_id="train",
        training_dag_id=dag_id(name, "training"),
        training_run_id="{{ ci_cd_training_run_id(ti.xcom_pull(task_ids='detect')['revision'], "
        "ti.xcom_pull(task_ids='decide_scope', key='scope')) }}",
        conf=data["conf"],
        note="{{ ti.xcom_pull(task_ids='has_data', key='conf')['reason'] }}",
        result_task_id="publish",
    )
    scope, image = decide_scope(detect.output), needs_image()
    done = processed(detect.output)

    clone >> scope >> [verify, done]
    verify >> image >> [build_image, copy_modules]
    build_image >> copy_modules >> data >> [train, done]
    is_released(train.output) >> done
    cleaned = clean_up()
    done >> cleaned.as_teardown(setups=clone)
    detect >> clone
    report_commit_status(settings, detected=detect, decided=scope, ended=[done, cleaned])


for found in usable_pipelines("ci_cd"):
    if found.ci_cd.remote is not None:
        with pipeline_dag(found, "ci_cd", doc=__doc__, schedule=[revision_asset(found.name)], params=PARAMS):
            ci_cd(found)
