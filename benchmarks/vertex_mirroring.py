"""(g) What it costs Airflow's triggerer to follow training runs on Vertex AI, against the Google provider's trigger.

200 runs wait at once, nine components each. Ours: nine ``VertexJobTrigger`` for each run, which share its looks. The
peer: ``RunPipelineJobTrigger``, one for each component, as nine tasks need that share nothing. In the detail is the
same trigger once for each run, which shows a run as one task and nothing of its components.

Each variant is a process that runs its triggers in one loop, as the triggerer does, at the settings' own interval, for
one interval over which the runs begin evenly: each is looked at once, and few twice. Calls are those that reach the
service, which is another process; CPU is that of the triggers' process, user and system, without its imports. The
peer's triggers are given one hook, whose credentials they share; by themselves each would make its own. They wait for
50 runs, and both sides are told per run: each look of theirs opens a connection, and 1,800 triggers open more than the
loopback cloud takes beside its clients on two cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.elsewhere import BUCKET, PROJECT_ID, REGION, Elsewhere, client, cloud, elsewhere, environment
from benchmarks.result import Result
from ml.home import home
from ml.vertex_settings import VertexSettings
from scripts.model_side import ModelSide, tfx_python

PIPELINE = "image_classification"
RUNS = 200
PEER_RUNS = 50
POLL_SECONDS = VertexSettings().poll_seconds
CONNECTION = "google_cloud_default"
_IMAGE = f"{REGION}-docker.pkg.dev/{PROJECT_ID}/respan/trainer:1"


@dataclass(frozen=True, slots=True)
class Waited:
    """One interval of a process whose triggers wait: how often a service was asked, and the process's CPU seconds."""

    runs: int
    triggers: int
    calls: int
    cpu_seconds: float


def measure() -> Iterator[Result]:
    """Calls per minute and component, and CPU milliseconds per minute and run."""
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        document = _compile(Path(folder) / "job.json")
        nodes = [task for task in _tasks(document) if "resolver" not in task]  # what has no container ends at once
        with elsewhere(cloud, Path(folder) / "cloud", 0.0, functools.partial(_services, document)) as service:
            given = service.call(environment)
            with elsewhere(client, given) as submitter:
                jobs = submitter.call(_submit, document, RUNS)
            ours = _wait(service, given, _ours, jobs, nodes)
            peer = _wait(service, given, _provider, jobs[:PEER_RUNS], nodes)
            alone = _wait(service, given, _provider, jobs, nodes[:1])
    detail = {
        "poll_seconds": POLL_SECONDS,
        "components": len(nodes),
        "ours": asdict(ours),
        "peer": asdict(peer),
        "peer_once_for_each_run": asdict(alone),
    }
    per_minute = 60 / POLL_SECONDS
    yield Result(
        name=f"looks at {RUNS} runs on Vertex AI",
        ours=ours.calls * per_minute / ours.triggers,
        peer=peer.calls * per_minute / peer.triggers,
        ratio=(ours.calls / ours.triggers) / (peer.calls / peer.triggers),
        unit="calls/min per component",
        bound="<= 0.15",
        detail=detail,
    )
    yield Result(
        name=f"CPU of awaiting {RUNS} runs on Vertex AI",
        ours=1000 * ours.cpu_seconds * per_minute / ours.runs,
        peer=1000 * peer.cpu_seconds * per_minute / peer.runs,
        ratio=(ours.cpu_seconds / ours.runs) / (peer.cpu_seconds / peer.runs),
        unit="CPU ms/min per run",
        bound="<= 0.1",
        detail=detail,
    )


def _compile(file: Path) -> bytes:
    """The pipeline's own job, as it is submitted: looks bring it along, so its size counts."""
    model_side = ModelSide(tfx_python(home()), os.environ)
    running = model_side.start("benchmarks.vertex_job", PIPELINE, BUCKET, _IMAGE, str(file))
    _output, error = running.communicate()
    if running.returncode:
        raise RuntimeError(f"{PIPELINE} doesn't compile: {error.decode('utf-8', 'replace')[-2000:]}")
    return file.read_bytes()


def _tasks(document: bytes) -> list[str]:
    return list(json.loads(document)["pipelineSpec"]["root"]["dag"]["tasks"])


def _services(document: bytes) -> list[Any]:
    """At the cloud: pipelines whose components run for ever."""
    from tests.gcp.services.pipelines import PipelineService
    from tests.gcp.services.pipelines_script import ScriptedExecutor

    script = ScriptedExecutor()
    script.hold(*_tasks(document))
    return [PipelineService(script)]


def _submit(_: None, document: bytes, runs: int) -> list[str]:
    """The jobs' resource names."""
    from google.cloud.aiplatform_v1.types import PipelineJob
    from respan.vertex.pipeline_jobs import PipelineJobs
    from respan.vertex.place import Place

    jobs, job = PipelineJobs(Place(CONNECTION, PROJECT_ID, REGION)), PipelineJob.from_json(document)
    ids = [f"run-{number}" for number in range(runs)]
    for job_id in ids:
        jobs.create(job, job_id)
    return [jobs.name(job_id) for job_id in ids]


def _wait(
    service: Elsewhere, given: dict[str, str], make: Callable[..., Any], jobs: list[str], nodes: list[str]
) -> Waited:
    with elsewhere(_triggerer, given) as triggerer:
        triggerer.call(_make, make, jobs, nodes)
        before = service.call(_looks)
        cpu_seconds = triggerer.call(_cpu_seconds)
        return Waited(len(jobs), len(jobs) * len(nodes), service.call(_looks) - before, cpu_seconds)


def _looks(service: Any) -> int:
    """At the cloud: how often anybody has looked at a job."""
    return len(service.calls.of("PipelineService.GetPipelineJob"))


class _Triggerer:
    """A loop with triggers, which goes on only while somebody waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._waiting: list[asyncio.Task[Any]] = []

    def begin(self, triggers: Sequence[Any], after_seconds: float) -> None:
        self._loop.call_later(after_seconds, lambda: self._waiting.extend(map(self._awaited, triggers)))

    def wait(self, seconds: float) -> None:
        """Raises ``RuntimeError`` where a trigger has fired: all of them should wait on."""
        self._loop.run_until_complete(asyncio.sleep(seconds))
        for fired in filter(asyncio.Task.done, self._waiting):
            raise RuntimeError(f"a trigger fired: {fired.result()}")

    def close(self) -> None:
        for task in self._waiting:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._waiting, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _awaited(self, trigger: Any) -> asyncio.Task[Any]:
        return self._loop.create_task(anext(trigger.run()))


@contextlib.contextmanager
def _triggerer(given: dict[str, str]) -> Iterator[_Triggerer]:
    with client(given), contextlib.closing(_Triggerer()) as running:
        yield running


def _make(triggerer: _Triggerer, make: Callable[..., Any], jobs: list[str], nodes: list[str]) -> None:
    """The triggers, which begin when the loop goes on. Afterwards all is imported that they need."""
    from airflow.providers.google.cloud.hooks.vertex_ai.pipeline_job import PipelineJobAsyncHook

    hook = PipelineJobAsyncHook(gcp_conn_id=CONNECTION)
    for number, job in enumerate(jobs):
        triggerer.begin([make(job, node, hook) for node in nodes], POLL_SECONDS * number / len(jobs))


def _cpu_seconds(triggerer: _Triggerer) -> float:
    """Of one interval."""
    before = time.process_time()
    triggerer.wait(POLL_SECONDS)
    return time.process_time() - before


def _ours(job: str, node: str, _: Any) -> Any:
    from respan.triggers.vertex_job import VertexJobTrigger

    return VertexJobTrigger(job, node, CONNECTION, POLL_SECONDS)


def _provider(job: str, _: str, hook: Any) -> Any:
    from airflow.providers.google.cloud.triggers.vertex_ai import RunPipelineJobTrigger

    trigger: Any = RunPipelineJobTrigger(
        conn_id=CONNECTION,
        project_id=PROJECT_ID,
        location=REGION,
        job_id=job.rsplit("/", 1)[-1],
        poll_interval=POLL_SECONDS,  # type: ignore[arg-type]
    )
    trigger.async_hook = hook
    return trigger
