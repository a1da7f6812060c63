"""Training runs on a cloud whose components end as a test says, and as much of Airflow as they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from ml.names import safe_id
from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.services.pipelines_script import ScriptedExecutor

PIPELINE, RUN_ID = "two_words", "manual__2026-11-21T00:00:00+00:00"
RUN = safe_id(RUN_ID)

SETTINGS = """
kind: image_classification
target: vertex
vertex:
  region: europe-west4
  image: europe-west4-docker.pkg.dev/respan-test/respan/trainer:1
  service_account: respan-vertex@respan-test.iam.gserviceaccount.com
  network: projects/415104041262/global/networks/respan
  encryption_key: projects/respan-test/locations/europe-west4/keyRings/respan/cryptoKeys/runs
  labels: {team: birds}
  poll_seconds: 0.02
"""

GET, CREATE, CANCEL = (f"PipelineService.{name}PipelineJob" for name in ("Get", "Create", "Cancel"))


class StateStore(dict[str, Any]):
    """A task's state store, which outlives its tries."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class TaskInstance:
    """``max_tries`` is raised by clearing the task, as Airflow does."""

    def __init__(self, outputs: dict[tuple[str, str], Any], task_id: str) -> None:
        self.outputs, self.task_id, self.max_tries = outputs, task_id, 3

    def xcom_push(self, key: str, value: Any) -> None:
        self.outputs[self.task_id, key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        return self.outputs.get((task_ids, key))


class Task:
    """A task of the DAG run. ``make`` gives its operator, anew for each try."""

    def __init__(self, make: Any, instance: TaskInstance) -> None:
        self.make, self.instance, self.store = make, instance, StateStore()

    @property
    def context(self) -> Any:
        return {"ti": self.instance, "task_state_store": self.store, "run_id": RUN_ID}

    def begin(self) -> Any:
        """What the task returns, or the ``TaskDeferred`` with which it waits."""
        return self._step(lambda: self.make().execute(self.context))

    def resume(self, deferred: TaskDeferred, event: Any) -> Any:
        kwargs = deferred.kwargs or {}
        return self._step(lambda: getattr(self.make(), deferred.method_name)(self.context, event=event, **kwargs))

    async def finish(self) -> Any:
        """What the task returns in the end; waiting as in the triggerer, working in a thread as in a worker."""
        done = await asyncio.to_thread(self.begin)
        while isinstance(done, TaskDeferred):
            done = await asyncio.to_thread(self.resume, done, await event_of(done))
        return done

    def result(self) -> Any:
        return asyncio.run(self.finish())

    def clear(self) -> None:
        """As a person does in Airflow's UI, when the task doesn't run."""
        self.instance.max_tries += 1

    @staticmethod
    def _step(do: Any) -> Any:
        try:
            return do()
        except TaskDeferred as deferred:
            return deferred


async def event_of(deferred: TaskDeferred) -> Any:
    """The payload of the trigger's first event. The trigger is what Airflow makes of its serialized form."""
    trigger: Any = deferred.trigger
    _, kwargs = trigger.serialize()
    events: AsyncIterator[Any] = type(trigger)(**kwargs).run()
    try:
        return (await anext(events)).payload
    finally:
        await events.aclose()  # type: ignore[attr-defined]


class Runs:
    """A DAG run whose training run is in storage, and the cloud that it goes to."""

    def __init__(self, cloud: LoopbackCloud, service: PipelineService, script: ScriptedExecutor) -> None:
        self.cloud, self.service, self.script = cloud, service, script
        self.outputs: dict[tuple[str, str], Any] = {}

    def task(self, task_id: str, make: Any) -> Task:
        return Task(make, TaskInstance(self.outputs, task_id))

    def component(self, node: str) -> Task:
        from respan.operators.tfx_node import TfxNodeOperator

        return self.task(node, lambda: TfxNodeOperator(task_id=node, pipeline=PIPELINE, node=node, component=node))

    def start(self) -> str:
        """The name of the run's job, submitted as ``start_run`` does it."""
        from respan.vertex.training_run import XCOM_KEY, VertexRun

        run = VertexRun.of(PIPELINE, RUN_ID)
        self.outputs["start_run", XCOM_KEY] = run.to_json_dict()
        run.submit(1)
        return str(run.newest()[1].name)

    def calls(self, method: str) -> int:
        return len(self.cloud.calls.of(method))

    def states(self) -> list[str]:
        """Of the jobs, in the order in which they were made."""
        return [job.state.name.removeprefix("PIPELINE_STATE_").lower() for job in self.service.jobs()]
