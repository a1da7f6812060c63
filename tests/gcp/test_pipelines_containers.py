"""PipelineService's double, with tasks that run: processes with the commands of the spec."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.cloud import aiplatform_v1

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services.pipelines import PipelineService
from tests.gcp.services.pipelines_containers import ContainerExecutor
from tests.gcp.services.spec_samples import pipeline_job, pipeline_spec
from tests.gcp.vertex_clients import client

#: Writes what it is given to where an executor's output belongs, with the client that a container has.
_SAYS = """
import json, sys
from google.cloud import storage
given = json.loads(sys.argv[1])
output = {"artifacts": {key: {"artifacts": [{"name": value["artifacts"][0]["name"], "metadata": {"seen": sys.argv[2]}}]}
                        for key, value in given["outputs"]["artifacts"].items()}}
storage.Blob.from_uri(given["outputs"]["outputFile"], client=storage.Client()).upload_from_string(json.dumps(output))
"""

#: Starts a child, tells both ids through a named pipe, and waits for ever.
_STAYS = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
child.wait()
"""


class Place:
    """A cloud whose pipelines run with this interpreter."""

    def __init__(self, cloud: LoopbackCloud, service: PipelineService, executor: ContainerExecutor) -> None:
        self.cloud, self.service, self.executor = cloud, service, executor
        self._client: aiplatform_v1.PipelineServiceClient = client(cloud, aiplatform_v1.PipelineServiceClient)
        self._parent = f"projects/{cloud.project}/locations/{cloud.region}"

    def submit(self, spec: dict[str, Any], job_id: str = "first") -> None:
        self._client.create_pipeline_job(parent=self._parent, pipeline_job=pipeline_job(spec), pipeline_job_id=job_id)

    def cancel(self, job_id: str = "first") -> None:
        self._client.cancel_pipeline_job(name=f"{self._parent}/pipelineJobs/{job_id}")

    def tasks(self, job_id: str = "first") -> dict[str, Any]:
        """The job's tasks once it has ended."""
        job = self.service.wait_for_end(job_id)
        return {one.task_name: one for one in job.job_detail.task_details if one.task_name != job_id}

    def logs(self, job_id: str = "first") -> list[str]:
        return [file.read_text() for file in sorted((self.cloud.folder / "containers" / job_id).glob("*/log"))]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    executor = ContainerExecutor(Path(sys.executable))
    service = PipelineService(executor)
    with LoopbackCloud(tmp_path / "cloud", services=[service]) as cloud:
        yield Place(cloud, service, executor)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe: reading it waits for the writer."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def _python(script: str, *arguments: str) -> list[str]:
    return ["python", "-c", script, *arguments]


def test_a_container_gets_its_input_and_its_output_is_the_artifact_s_metadata(place: Place) -> None:
    commands = {
        "first-task": _python(_SAYS, "{{$}}", "{{$.pipeline_task_name}}"),
        "next": _python(_SAYS, "{{$}}", "{{$.inputs.artifacts['first-task'].metadata['seen']}}!"),
    }
    place.submit(pipeline_spec({"first-task": (), "next": ("first-task",)}, commands=commands))
    tasks = place.tasks()
    (made,), (following,) = tasks["first-task"].outputs["first-task"].artifacts, tasks["next"].outputs["next"].artifacts
    assert (dict(made.metadata), dict(following.metadata)) == ({"seen": "first-task"}, {"seen": "first-task!"})
    assert tasks["next"].inputs["first-task"].artifacts[0].name == made.name


def test_a_container_has_a_container_s_environment_and_a_folder_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_MACHINE", "x")
    spec = pipeline_spec(
        {"tell": ()},
        commands={
            "tell": _python("import json, os, tests; print(json.dumps({'cwd': os.getcwd(), 'env': dict(os.environ)}))")
        },
    )
    spec["deploymentSpec"]["executors"]["tell_executor"]["container"]["env"] = [{"name": "OWN", "value": "1"}]
    place.submit(spec)
    assert place.tasks()["tell"].state.name == "SUCCEEDED"
    (log,) = place.logs()
    told = json.loads(log)
    assert Path(told["cwd"]).is_relative_to(place.cloud.folder / "containers" / "first")
    assert told["env"]["OWN"] == "1"
    assert place.cloud.workload_environment.items() <= told["env"].items()
    assert "OF_THE_MACHINE" not in told["env"]


def test_a_container_that_fails_fails_its_task_with_its_own_message_if_it_left_one(place: Place) -> None:
    leaves = (
        _SAYS.replace("executor_output", "x")
        .replace('given["outputs"]["outputFile"]', 'given["outputs"]["outputFile"].replace("_output", "_error")')
        .replace("json.dumps(output)", 'json.dumps({"errorMessage": "no images"})')
    )
    place.submit(
        pipeline_spec(
            {"silent": (), "tells": ()},
            commands={
                "silent": _python("raise SystemExit('out of luck')"),
                "tells": _python(leaves + "raise SystemExit(3)", "{{$}}", ""),
            },
        )
    )
    tasks = place.tasks()
    assert "non-zero status of 1" in tasks["silent"].error.message
    assert tasks["tells"].error.message.startswith("no images The replica")
    assert any("out of luck" in log for log in place.logs())
    assert place.service.jobs()[0].state.name == "PIPELINE_STATE_FAILED"


def test_a_cancelled_job_leaves_no_process(place: Place, pipe: Path) -> None:
    place.submit(pipeline_spec({"stays": ()}, commands={"stays": _python(_STAYS, str(pipe))}))
    processes = [psutil.Process(int(one)) for one in pipe.read_text().split()]
    assert place.executor.running() == ["stays"]
    place.cancel()
    assert place.tasks()["stays"].state.name == "CANCELLED"
    assert place.executor.running() == []
    assert psutil.wait_procs(processes, timeout=30)[1] == []


def test_the_end_of_the_cloud_ends_what_runs_and_what_waits(tmp_path: Path, pipe: Path) -> None:
    executor = ContainerExecutor(Path(sys.executable), slots=1)
    service = PipelineService(executor)
    commands = {name: _python(_STAYS, str(pipe)) for name in ("one", "two")}
    with LoopbackCloud(tmp_path / "cloud", services=[service]) as cloud:
        place = Place(cloud, service, executor)
        place.submit(pipeline_spec({"one": (), "two": ()}, commands=commands))
        processes = [psutil.Process(int(one)) for one in pipe.read_text().split()]
    assert psutil.wait_procs(processes, timeout=30)[1] == []
    assert executor.executions == [("first", "one")]
    assert [job.state.name for job in service.jobs()] == ["PIPELINE_STATE_CANCELLED"]


@pytest.mark.slow
def test_a_warm_container_ends_with_the_cloud_and_has_an_environment_of_its_own(tmp_path: Path, pipe: Path) -> None:
    executor = ContainerExecutor(warm=True)
    service = PipelineService(executor)
    tells = (
        f"import os, signal; open({str(pipe)!r}, 'w').write(f'{{os.getpid()}} {{os.environ[\"OWN\"]}}'); signal.pause()"
    )
    spec = pipeline_spec({"stays": ()}, commands={"stays": ["python", "-m", "timeit", "-n", "1", "-r", "1", tells]})
    spec["deploymentSpec"]["executors"]["stays_executor"]["container"]["env"] = [{"name": "OWN", "value": "1"}]
    with LoopbackCloud(tmp_path / "cloud", services=[service]) as cloud:
        Place(cloud, service, executor).submit(spec)
        pid, own = pipe.read_text().split()
        assert own == "1"
        process = psutil.Process(int(pid))
        parent = process.parent()
    assert psutil.wait_procs([process, parent], timeout=30)[1] == []
    assert service.jobs()[0].state.name == "PIPELINE_STATE_CANCELLED"


def test_what_a_container_leaves_running_ends_with_it(place: Place, pipe: Path) -> None:
    leaves = _STAYS.replace("child.wait()", "")
    place.submit(pipeline_spec({"leaves": ()}, commands={"leaves": _python(leaves, str(pipe))}))
    child = int(pipe.read_text().split()[1])
    assert place.tasks()["leaves"].state.name == "SUCCEEDED"
    assert not psutil.pid_exists(child) or psutil.wait_procs([psutil.Process(child)], timeout=30)[1] == []


def test_no_more_than_two_containers_run_at_once(place: Place, tmp_path: Path) -> None:
    pipes = [tmp_path / name for name in ("a", "b", "c")]
    for path in pipes:
        os.mkfifo(path)
    waits = "import sys; open(sys.argv[1]).read()"
    commands = {path.name: _python(waits, str(path)) for path in pipes}
    place.submit(pipeline_spec({"a": (), "b": (), "c": ()}, commands=commands))
    first, second = (path.open("w") for path in pipes[:2])
    (job,) = place.service.jobs()
    states = {one.task_name: one.state.name for one in job.job_detail.task_details}
    assert (states["a"], states["b"], states["c"]) == ("RUNNING", "RUNNING", "PENDING")
    first.close()
    pipes[2].open("w").close()
    second.close()
    assert {task.state.name for task in place.tasks().values()} == {"SUCCEEDED"}


def test_a_failure_that_was_ordered_needs_no_process(place: Place) -> None:
    place.service.fail("only", "the machine burns")
    place.submit(pipeline_spec({"only": ()}))
    assert place.tasks()["only"].error.message == "the machine burns"
    assert place.executor.executions == []


def test_a_resolver_finds_the_newest_artifact_of_its_pipeline_or_none(place: Place) -> None:
    def with_resolver(name: str) -> dict[str, Any]:
        spec = pipeline_spec({"find": (), "make": ()}, name=name, caching=False)
        context = f"{place.service.metadata.name}/contexts/{name}"
        query = (
            f'schema_title="tfx.make" AND state=LIVE AND metadata.seen.string_value="make" AND in_context("{context}")'
        )
        spec["deploymentSpec"]["executors"] |= {
            "find_executor": {"resolver": {"outputArtifactQueries": {"find": {"filter": query}}}},
            "make_executor": {"container": {"image": "i", "command": _python(_SAYS, "{{$}}", "make")}},
        }
        spec["root"]["dag"]["tasks"]["make"]["dependentTasks"] = ["find"]
        return spec

    found = []
    for job, name in (("a", "digits"), ("b", "digits"), ("c", "letters"), ("d", "digits")):
        place.submit(with_resolver(name), job)
        found.append(place.tasks(job))
    made = [tasks["make"].outputs["make"].artifacts[0].name for tasks in found]
    resolved = [[one.name for one in tasks["find"].outputs["find"].artifacts] for tasks in found]
    assert resolved == [[], [made[0]], [], [made[1]]]


def test_a_resolver_that_asks_for_what_isn_t_there_finds_nothing(place: Place) -> None:
    spec = pipeline_spec({"first": (), "find": ("first",)})
    query = "name=\"{{$.inputs.artifacts['first'].metadata['model']}}\""
    spec["deploymentSpec"]["executors"]["find_executor"] = {
        "resolver": {"outputArtifactQueries": {"find": {"filter": query}}}
    }
    place.submit(spec)
    assert list(place.tasks()["find"].outputs["find"].artifacts) == []


def test_an_importer_gives_the_same_artifact_for_the_same_uri(place: Place) -> None:
    spec = pipeline_spec({"bring": ()})
    spec["deploymentSpec"]["executors"]["bring_executor"] = {
        "importer": {
            "artifactUri": {"constant": "gs://respan-test/model"},
            "typeSchema": {"instanceSchema": "title: tfx.Model\ntype: object\n"},
        }
    }
    names = []
    for job in ("a", "b"):
        place.submit(spec, job)
        (model,) = place.tasks(job)["bring"].outputs["bring"].artifacts
        assert (model.uri, model.schema_title) == ("gs://respan-test/model", "tfx.Model")
        names.append(model.name)
    assert names[0] == names[1]


def test_a_driver_runs_first_and_its_parameters_decide_about_the_cache(place: Place) -> None:
    """As TFX's file-based ExampleGen has it: the driver writes what it found to the executor's output."""
    drives = _SAYS.replace("output = {", 'output = {"parameterValues": {"span": sys.argv[2]}, ')
    spec = pipeline_spec({"gen": ()}, commands={"gen": _python("", "{{$}}")})
    container = spec["deploymentSpec"]["executors"]["gen_executor"]["container"]
    states = []
    for job, span in (("a", "1"), ("b", "1"), ("c", "2")):
        place.cloud.storage_client().bucket(place.cloud.bucket).blob("span").upload_from_string(span)
        container["lifecycle"] = {
            "preCacheCheck": {
                "command": _python(
                    drives.replace(
                        "sys.argv[2]", "storage.Client().bucket('respan-test').blob('span').download_as_text()"
                    ),
                    "{{$}}",
                )
            }
        }
        place.submit(spec, job)
        states.append(place.tasks(job)["gen"].state.name)
    assert states == ["SUCCEEDED", "SKIPPED", "SUCCEEDED"]
