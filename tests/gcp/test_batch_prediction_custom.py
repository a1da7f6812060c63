"""The double of custom jobs: their commands run as processes."""

from __future__ import annotations

import psutil
from google.cloud import aiplatform_v1 as vertex
from google.cloud.aiplatform_v1.types import JobState

from tests.gcp.serving_place import ENDED, Place, until

pytest_plugins = ("tests.gcp.serving_fixtures",)


def a_custom_job(*command: str) -> vertex.CustomJob:
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "image", "command": command, "env": [{"name": "WORD", "value": "hello"}]},
    }
    return vertex.CustomJob(display_name="custom", job_spec={"worker_pool_specs": [pool]})


def test_a_custom_job_runs_its_command_as_a_process(place: Place) -> None:
    def ended(*command: str) -> vertex.CustomJob:
        job = place.jobs.create_custom_job(parent=place.parent, custom_job=a_custom_job(*command))
        return until(lambda: place.jobs.get_custom_job(name=job.name), *ENDED)

    target = place.cloud.folder / "said"
    program = f'printf "%s %s" "$WORD" "$GCE_METADATA_HOST" > {target}'
    assert ended("sh", "-c", program).state == JobState.JOB_STATE_SUCCEEDED
    assert target.read_text() == f"hello {place.cloud.workload_environment['GCE_METADATA_HOST']}"
    failed = ended("sh", "-c", "echo sorry; exit 7")
    assert failed.state == JobState.JOB_STATE_FAILED
    assert "non-zero status of 7" in failed.error.message
    assert "sorry" in failed.error.message


def test_a_cancelled_custom_jobs_process_has_ended(place: Place) -> None:
    job = place.jobs.create_custom_job(parent=place.parent, custom_job=a_custom_job("sleep", "1000"))
    until(lambda: place.jobs.get_custom_job(name=job.name), "RUNNING")
    place.jobs.cancel_custom_job(name=job.name)
    assert until(lambda: place.jobs.get_custom_job(name=job.name), *ENDED).state == JobState.JOB_STATE_CANCELLED
    assert not [child for child in psutil.Process().children() if "1000" in child.cmdline()]
