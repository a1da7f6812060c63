"""PipelineService's double: what it refuses, lists and deletes."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core.exceptions import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

from tests.gcp.pipelines.conftest import Place
from tests.gcp.services.spec_samples import pipeline_job, pipeline_spec


def test_an_id_is_taken_once(place: Place) -> None:
    place.submit()
    with pytest.raises(AlreadyExists):
        place.submit()
    assert place.service.created == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": {"Upper": "x"}},
        {"labels": {"x": "A.b"}},
        {"network": "default"},
        {"service_account": "me"},
        {"encryption_spec": {"kms_key_name": "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"}},
        {"runtime_config": {"gcs_output_directory": "/tmp/out"}},
        {"runtime_config": {"parameter_values": {"none": "1"}}},
        {"display_name": "x" * 129},
    ],
)
def test_what_the_service_would_refuse_is_refused(place: Place, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        place.submit(pipeline_job(**fields))
    assert place.service.created == 0


@pytest.mark.parametrize("values", [{}, {"count": "three"}, {"count": 1.5}, {"count": 1, "more": "x"}])
def test_parameters_must_be_there_and_of_their_type(place: Place, values: dict[str, Any]) -> None:
    spec = pipeline_spec({"only": ()}, parameters={"count": "NUMBER_INTEGER"})
    with pytest.raises(InvalidArgument):
        place.submit(pipeline_job(spec, runtime_config={"parameter_values": values}))
    place.submit(pipeline_job(spec, runtime_config={"parameter_values": {"count": 3}}))


@pytest.mark.parametrize("key", ["pipelineInfo", "deploymentSpec", "root", "schemaVersion"])
def test_a_spec_without_one_of_its_parts_is_refused(place: Place, key: str) -> None:
    spec = pipeline_spec()
    del spec[key]
    with pytest.raises(InvalidArgument):
        place.submit(pipeline_job(spec))


def test_a_container_needs_an_image(place: Place) -> None:
    spec = pipeline_spec()
    spec["deploymentSpec"]["executors"]["Trainer_executor"]["container"]["image"] = "<image>"
    with pytest.raises(InvalidArgument, match="Trainer_executor"):
        place.submit(pipeline_job(spec))


@pytest.mark.parametrize("job_id", ["Upper", "1st", "a_b", "a" * 129])
def test_an_id_has_a_form(place: Place, job_id: str) -> None:
    with pytest.raises(InvalidArgument):
        place.submit(job_id=job_id)


def test_running_as_an_account_needs_the_right_to_act_as_it(place: Place) -> None:
    place.cloud.permissions.deny(place.cloud.airflow_principal, "iam.serviceAccounts.actAs")
    with pytest.raises(PermissionDenied, match="act as service_account"):
        place.submit(pipeline_job(service_account="trainer@respan-test.iam.gserviceaccount.com"))


def test_jobs_are_listed_by_label_state_and_time(place: Place) -> None:
    place.submit(pipeline_job(labels={"respan-run": "a"}))
    place.service.fail("Trainer")
    place.submit(pipeline_job(pipeline_spec(name="letters"), labels={"respan-run": "b"}), job_id="second")

    def listed(**request: Any) -> list[str]:
        pages = place.client.list_pipeline_jobs(request={"parent": place.parent, **request})
        return [job.name.rpartition("/")[2] for job in pages]

    assert listed() == ["second", "first"]
    assert listed(order_by="create_time", page_size=1) == ["first", "second"]
    assert listed(filter='labels.respan-run="a"') == ["first"]
    assert listed(filter='state="PIPELINE_STATE_FAILED" AND pipeline_name="letters"') == ["second"]
    assert listed(filter='create_time>"2100-01-01T00:00:00Z"') == []
    assert all(not job.job_detail for job in place.client.list_pipeline_jobs(parent=place.parent))


def test_an_ended_job_can_be_deleted_and_is_gone(place: Place) -> None:
    place.script.hold("Trainer")
    place.submit()
    name = f"{place.parent}/pipelineJobs/first"
    with pytest.raises(FailedPrecondition):
        place.client.delete_pipeline_job(name=name)
    place.script.finish("Trainer")
    place.client.delete_pipeline_job(name=name).result()
    with pytest.raises(NotFound):
        place.job()
