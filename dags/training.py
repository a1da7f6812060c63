"""
Runs the TFX pipeline on a window of spans and releases the model if the Evaluator blessed it.

Starts by hand (with a form), on the schedule in the pipeline's settings, or from the *retraining* DAG. The cause and
the reason are recorded with the run and its release. At most one run at a time; others queue. Each TFX component is a
task: read its log, retry it or clear it alone. What is unchanged comes from TFX's cache.

With a revision, settings, schema and modules are those that CI/CD shipped of it; else those of the version that serves.
Schedule and components of this DAG are always the installed ones.

A candidate that wasn't blessed is no failure of the run: `released` is skipped and tells so, and the version that
serves goes on serving.

On the target `vertex` the components run on Vertex AI, and their tasks follow them there: each is as the component is,
and leads to its log. After a failure mend its cause and clear the failed task with all that is downstream: the run is
submitted again, and what had succeeded is taken from the cache. Clearing or marking a component that runs cancels the
job on Vertex AI; `end_run` cancels what still runs at the end.
"""

from __future__ import annotations

from typing import Any, get_args

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, task
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

    @task.short_circuit(task_id="is_blessed")
    def is_blessed(*, run_id: Any = None) -> bool:
        with told_to_airflow():
            return any(pipeline_storage(name).list(layout.run(safe_id(run_id), "pushed")))

    @task(task_id="released", outlets=[new_release])
    def released(published: Any, *, run_id: Any = None, outlet_events: Any = None) -> None:
        if published["version"] is None:
            raise AirflowSkipException(
                "nothing is released: the Evaluator didn't bless the candidate; its log says why"
            )
        outlet_events[new_release].extra = {
            "version": published["version"],
            "run_id": run_id,
            "cause": published["cause"],
            "reason": published["reason"],
            "revision": published["revision"],
        }

    components = tfx_components(read_graph(name))
    publish = PublishOperator(task_id="publish", pipeline=name, multiple_outputs=True)
    published: Any = publish.output
    serve = ServeOperator(task_id="serve", pipeline=name, version=published["version"])
    end_run = EndRunOperator(task_id="end_run").as_teardown()
    StartRunOperator(task_id="start_run", pipeline=name) >> [components, end_run]
    if settings.training.approval:
        approve = ApprovalOperator(
            task_id="approve",
            subject=f"Release the new version of {name}?",
            body="Why it was trained: {{ ti.xcom_pull(task_ids='start_run')['reason'] }}. Spans: "
            "{{ ti.xcom_pull(task_ids='start_run')['window'] | join(', ') }}.",
        )
        components >> is_blessed() >> approve >> publish
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
