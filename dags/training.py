"""
Runs the TFX pipeline on a window of spans and releases the model if the Evaluator blessed it.

Starts by hand (with a form), on the schedule in the pipeline's settings, or from the *retraining* DAG. The cause and
the reason are recorded with the run and its release. At most one run at a time; others queue. Each TFX component is a
task: read its log, retry it or clear it alone. What is unchanged comes from TFX's cache.

With a revision, settings, schema and modules are those that CI/CD shipped of it; else those of the version that serves.
Schedule and components of this DAG are always the installed ones.

*Champion* is the version that serves when the run starts. *Comparison* asks it and the candidate for the same examples,
which neither was trained on, and decides: a candidate that is significantly worse is refused. A candidate that lost a
class, or that the evidence can't tell from the champion, may wait for a person: see the settings `training.approval`,
`training.when_unsure` and `training.may_lose_classes`.

If a candidate is not released, the run has not failed: `released` is skipped and says why, and the version that serves
goes on serving.

On the target `vertex` the components run on Vertex AI, and their tasks follow them there: each is as the component is,
and leads to its log. After a failure mend its cause and clear the failed task with all that is downstream: the run is
submitted again, and what had succeeded is taken from the cache. Clearing or marking a component that runs cancels the
job on Vertex AI; `end_run` cancels what still runs at the end.
"""

from __future__ import annotations

from typing import Any, get_args

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException
from respan.assets import release
from respan.discovery import usable_pipelines
from respan.failures import told_to_airflow
from respan.operators.publish import PublishOperator
from respan.operators.serve import ServeOperator
from respan.operators.training import EndRunOperator, StartRunOperator
from respan.params import CAUSE, REASON, TRAINED_REVISION
from respan.pipeline_dag import pipeline_dag
from respan.tfx_components import tfx_components

from ml import layout
from ml.comparison.documents import read_comparison
from ml.comparison.records import GateDecision
from ml.graph import read_graph
from ml.home import pipeline_storage
from ml.names import safe_id
from ml.settings import Settings, Target

PARAMS = {
    "window": Param(
        None,
        type=["null", "array"],
        items={"type": "integer", "minimum": 1},
        minItems=1,
        uniqueItems=True,
        title="Window",
        description="Numbers of the spans to train on, such as [1, 2]. Empty: the newest ones, as the settings say.",
    ),
    "settings": Param(
        {},
        type="object",
        additionalProperties={"type": ["string", "number", "boolean", "null"]},
        title="Settings",
        description='Other values for this run only, such as {"training.epochs": 3}.',
    ),
    "target": Param(
        None,
        type=["null", "string"],
        enum=[None, *get_args(Target)],
        title="Target",
        description="Where it is trained. Empty: as the settings say, which also say where releases serve.",
    ),
    "reason": REASON,
    "cause": CAUSE,
    "revision": TRAINED_REVISION,
}


def training(settings: Settings) -> None:
    name = settings.name
    new_release = release(name)

    @task.branch(task_id="is_blessed")
    def is_blessed(*, run_id: Any = None, ti: Any = None) -> str | None:
        """The task that comes next; None for a candidate that is refused."""
        with told_to_airflow():
            storage, run = pipeline_storage(name), safe_id(run_id)
            if not any(storage.list(layout.run(run, "pushed"))):
                return None
            comparison = read_comparison(storage, run)
        ti.xcom_push("comparison", comparison.why if comparison else "")
        asked = settings.training.approval or (comparison and comparison.decision is GateDecision.ASK)
        return "approve" if asked else "publish"

    @task(task_id="released", outlets=[new_release])
    def released(published: Any, *, run_id: Any = None, outlet_events: Any = None) -> None:
        if published["version"] is None:
            raise AirflowSkipException(
                f"nothing is released: {published['comparison'] or 'the candidate is not blessed'}"
            )
        outlet_events[new_release].extra = {
            "version": published["version"],
            "run_id": run_id,
            "cause": published["cause"],
            "reason": published["reason"],
            "revision": published["revision"],
            "comparison": published["comparison"],
            "lost_classes": published["lost_classes"],
            "new_classes": published["new_classes"],
        }

    components = tfx_components(read_graph(name))
    asks = settings.training.approval or settings.training.when_unsure == "ask"
    publish = PublishOperator(
        task_id="publish",
        pipeline=name,
        confirmed_by="approve" if asks else None,
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS if asks else TriggerRule.ALL_SUCCESS,
        multiple_outputs=True,
    )
    published: Any = publish.output
    serve = ServeOperator(task_id="serve", pipeline=name, version=published["version"])
    end_run = EndRunOperator(task_id="end_run").as_teardown()
    StartRunOperator(task_id="start_run", pipeline=name) >> [components, end_run]
    if asks:
        approve = ApprovalOperator(
            task_id="approve",
            subject=f"Release the new version of {name}?",
            body="Why it was trained: {{ ti.xcom_pull(task_ids='start_run')['reason'] }}. Spans: "
            "{{ ti.xcom_pull(task_ids='start_run')['window'] | join(', ') }}. "
            "{{ ti.xcom_pull(task_ids='is_blessed', key='comparison') }}",
        )
        blessed = is_blessed()
        components >> blessed >> [approve, publish]
        approve >> publish
    else:
        components >> publish
    ended: Any = released(published)
    publish >> serve >> ended
    # Of every component, since with vertex.failure_policy `slow` some go on after another one has failed. And of no
    # setup: it is to run where start_run itself failed, too, which may have submitted a job.
    [*components.children.values(), ended] >> end_run


for found in usable_pipelines("training"):
    with pipeline_dag(found, "training", doc=__doc__, schedule=found.training.schedule, params=PARAMS):
        training(found)
