"""The double of endpoints: what may be deployed, how traffic is split, and who answers."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.api import httpbody_pb2
from google.api_core.exceptions import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from google.cloud import aiplatform_v1 as vertex
from google.protobuf import json_format, struct_pb2

from tests.gcp.services.scripts import out_of_quota
from tests.gcp.serving_place import Place

pytest_plugins = ("tests.gcp.serving_fixtures",)

RESOURCES = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}


@pytest.fixture
def model(place: Place) -> str:
    """A model with two versions, without content."""
    uri = place.put_model(None)
    name = str(place.upload(uri, model_id="words").model)
    place.upload(uri, parent_model=name)
    return name


@pytest.fixture
def endpoint(place: Place) -> str:
    """An endpoint with nothing deployed."""
    return str(create(place, "words").name)


def create(place: Place, endpoint_id: str, **fields: Any) -> vertex.Endpoint:
    endpoint = vertex.Endpoint(display_name=endpoint_id, **fields)
    started = place.endpoints.create_endpoint(parent=place.parent, endpoint=endpoint, endpoint_id=endpoint_id)
    return started.result(timeout=60)


def start(place: Place, endpoint: str, model: str, deployed_id: str, split: dict[str, int] | None = None) -> Any:
    deployed = vertex.DeployedModel(id=deployed_id, model=model, dedicated_resources=RESOURCES)
    return place.endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split=split)


def deploy(place: Place, *arguments: Any) -> vertex.DeployedModel:
    return start(place, *arguments).result(timeout=60).deployed_model


def undeploy(place: Place, endpoint: str, deployed_id: str, split: dict[str, int] | None = None) -> None:
    request = {"endpoint": endpoint, "deployed_model_id": deployed_id, "traffic_split": split}
    place.endpoints.undeploy_model(request=request).result(timeout=60)


def split(place: Place, endpoint: str) -> dict[str, int]:
    return dict(place.endpoints.get_endpoint(name=endpoint).traffic_split)


def shift(place: Place, endpoint: str, shares: dict[str, int]) -> vertex.Endpoint:
    changed = vertex.Endpoint(name=endpoint, display_name="words", traffic_split=shares)
    return place.endpoints.update_endpoint(endpoint=changed, update_mask={"paths": ["traffic_split"]})


def instance(text: str) -> struct_pb2.Value:
    return json_format.ParseDict({"b64": base64.b64encode(text.encode()).decode()}, struct_pb2.Value())


def test_an_endpoint_has_the_id_that_the_client_chose(place: Place) -> None:
    name = create(place, "words").name
    assert name.endswith("/endpoints/words")
    assert place.endpoints.get_endpoint(name=f"{place.parent}/endpoints/words").name == name
    with pytest.raises(AlreadyExists):
        create(place, "words")
    with pytest.raises(NotFound):
        place.endpoints.get_endpoint(name=f"{place.parent}/endpoints/other")


@pytest.mark.parametrize("wrong", ["Upper", "ends-", "under_score", "0123", "1234567890", "a" * 64])
def test_an_id_that_can_not_be_is_refused(place: Place, wrong: str) -> None:
    with pytest.raises(InvalidArgument):
        create(place, wrong)


def test_endpoints_are_listed_by_label_and_name(place: Place) -> None:
    create(place, "first", labels={"respan-pipeline": "digits"})
    create(place, "second", labels={"respan-pipeline": "other"})

    def listed(expression: str) -> list[str]:
        found = place.endpoints.list_endpoints(request={"parent": place.parent, "filter": expression})
        return [endpoint.display_name for endpoint in found]

    assert listed("") == ["second", "first"]
    assert listed('labels.respan-pipeline="digits"') == ["first"]
    assert listed('display_name="second" AND labels.respan-pipeline:*') == ["second"]


def test_zero_stands_for_the_new_model_in_the_split(place: Place, endpoint: str, model: str) -> None:
    deployed = deploy(place, endpoint, f"{model}@2", "2", {"0": 100})
    assert (deployed.id, deployed.model, deployed.model_version_id) == ("2", model, "2")
    assert split(place, endpoint) == {"2": 100}
    (reference,) = place.models.get_model(name=f"{model}@2").deployed_models
    assert (reference.endpoint, reference.deployed_model_id) == (endpoint, "2")
    deploy(place, endpoint, model, "3")
    assert split(place, endpoint) == {"2": 100}
    shift(place, endpoint, {"2": 90, "3": 10})
    assert split(place, endpoint) == {"2": 90, "3": 10}


@pytest.mark.parametrize("shares", [{"0": 90}, {"0": 50, "7": 50}, {"0": 120, "1": -20}])
def test_a_split_that_can_not_be_is_refused(place: Place, endpoint: str, model: str, shares: dict[str, int]) -> None:
    deploy(place, endpoint, model, "1", {"0": 100})
    with pytest.raises(InvalidArgument):
        start(place, endpoint, model, "2", shares)
    with pytest.raises(InvalidArgument):
        shift(place, endpoint, shares)
    assert split(place, endpoint) == {"1": 100}


def test_a_deployed_models_id_is_taken_once(place: Place, endpoint: str, model: str) -> None:
    deploy(place, endpoint, model, "1")
    with pytest.raises(AlreadyExists):
        start(place, endpoint, model, "1")
    for wrong in ("x1", "12345678901"):
        with pytest.raises(InvalidArgument):
            start(place, endpoint, model, wrong)


def test_a_deployment_needs_a_model_and_machines(place: Place, endpoint: str, model: str) -> None:
    with pytest.raises(NotFound):
        start(place, endpoint, f"{model}@7", "1")
    automatic = vertex.DeployedModel(model=model, automatic_resources={"min_replica_count": 1})
    with pytest.raises(InvalidArgument, match="automatic_resources"):
        place.endpoints.deploy_model(endpoint=endpoint, deployed_model=automatic)
    none = {"machine_spec": {"machine_type": "n1-standard-2"}}
    with pytest.raises(InvalidArgument, match="min_replica_count"):
        place.endpoints.deploy_model(
            endpoint=endpoint, deployed_model=vertex.DeployedModel(model=model, dedicated_resources=none)
        )


def test_a_model_with_traffic_stays_while_others_are_there(place: Place, endpoint: str, model: str) -> None:
    deploy(place, endpoint, model, "1", {"0": 100})
    deploy(place, endpoint, model, "2", {"0": 10, "1": 90})
    with pytest.raises(FailedPrecondition, match="90%"):
        undeploy(place, endpoint, "1")
    with pytest.raises(InvalidArgument, match="do not exist"):
        undeploy(place, endpoint, "1", {"1": 50, "2": 50})
    undeploy(place, endpoint, "1", {"2": 100})
    assert split(place, endpoint) == {"2": 100}
    with pytest.raises(NotFound):
        undeploy(place, endpoint, "1")
    undeploy(place, endpoint, "2")
    assert split(place, endpoint) == {}


def test_a_model_is_not_deleted_while_it_is_deployed(place: Place, endpoint: str, model: str) -> None:
    deploy(place, endpoint, f"{model}@2", "2")
    with pytest.raises(FailedPrecondition, match="deployed"):
        place.models.delete_model(name=model)
    with pytest.raises(FailedPrecondition, match="deployed"):
        place.models.delete_model_version(name=f"{model}@2")
    with pytest.raises(FailedPrecondition, match="undeploy"):
        place.endpoints.delete_endpoint(name=endpoint)
    undeploy(place, endpoint, "2")
    place.models.delete_model_version(name=f"{model}@2").result(timeout=60)
    place.endpoints.delete_endpoint(name=endpoint).result(timeout=60)
    with pytest.raises(NotFound):
        place.endpoints.get_endpoint(name=endpoint)


def test_one_operation_at_a_time_changes_an_endpoint(place: Place, endpoint: str, model: str) -> None:
    place.serving.endpoints.script.hold("DeployModel words")
    started = start(place, endpoint, model, "1", {"0": 100})
    refused = "other operations running on the resource"
    with pytest.raises(FailedPrecondition, match=refused):
        start(place, endpoint, model, "2")
    with pytest.raises(FailedPrecondition, match=refused):
        shift(place, endpoint, {})
    with pytest.raises(FailedPrecondition, match=refused):
        place.endpoints.delete_endpoint(name=endpoint)
    with pytest.raises(FailedPrecondition, match="being deployed"):
        place.models.delete_model(name=model)
    assert not place.endpoints.get_endpoint(name=endpoint).deployed_models
    place.serving.endpoints.script.release()
    started.result(timeout=60)
    deploy(place, endpoint, model, "2")


def test_a_deployment_that_fails_leaves_the_endpoint_as_it_was(place: Place, endpoint: str, model: str) -> None:
    place.serving.endpoints.script.fail("DeployModel *", out_of_quota("custom_model_serving_cpus"))
    with pytest.raises(Exception, match="custom_model_serving_cpus"):
        deploy(place, endpoint, model, "1", {"0": 100})
    assert split(place, endpoint) == {}
    assert not place.models.get_model(name=model).deployed_models
    deploy(place, endpoint, model, "1", {"0": 100})


def test_only_some_fields_can_be_updated(place: Place, endpoint: str) -> None:
    with pytest.raises(InvalidArgument, match="network"):
        place.endpoints.update_endpoint(
            endpoint=vertex.Endpoint(name=endpoint, display_name="words", network="n"),
            update_mask={"paths": ["network"]},
        )


@pytest.mark.parametrize(
    "permission", ["endpoints.deploy", "endpoints.undeploy", "endpoints.update", "endpoints.predict"]
)
def test_each_call_needs_its_permission(place: Place, endpoint: str, model: str, permission: str) -> None:
    deploy(place, endpoint, model, "1", {"0": 100})
    place.cloud.permissions.deny(place.cloud.airflow_principal, f"aiplatform.{permission}")
    acts: dict[str, Callable[[], object]] = {
        "endpoints.deploy": lambda: start(place, endpoint, model, "2"),
        "endpoints.undeploy": lambda: undeploy(place, endpoint, "1"),
        "endpoints.update": lambda: shift(place, endpoint, {"1": 100}),
        "endpoints.predict": lambda: place.predictions.predict(endpoint=endpoint, instances=[instance("a")]),
    }
    with pytest.raises(PermissionDenied, match=permission):
        acts[permission]()


def test_who_deploys_as_an_account_must_be_allowed_to(place: Place, endpoint: str, model: str) -> None:
    place.cloud.permissions.deny(place.cloud.airflow_principal, "iam.serviceAccounts.actAs")
    deployed = vertex.DeployedModel(model=model, dedicated_resources=RESOURCES, service_account="somebody")
    with pytest.raises(PermissionDenied, match="act as service_account: somebody"):
        place.endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed)


def test_the_deployed_models_answer_with_their_shares(place: Place, saved_models: dict[int, Path]) -> None:
    endpoint = create(place, "words").name
    for number, (factor, folder) in enumerate(saved_models.items(), 1):
        name = place.upload(place.put_model(folder, f"models/{factor}"), model_id=f"words-{factor}").model
        deploy(place, endpoint, name, str(number))
    with pytest.raises(FailedPrecondition, match="doesn't have traffic_split"):
        place.predictions.predict(endpoint=endpoint, instances=[instance("four")])
    shift(place, endpoint, {"1": 75, "2": 25})
    client = place.predictions
    answers = [client.predict(endpoint=endpoint, instances=[instance("four"), instance("ab")]) for _ in range(20)]
    assert Counter(answer.deployed_model_id for answer in answers) == {"1": 15, "2": 5}
    sizes = {answer.deployed_model_id: [row["size"] for row in answer.predictions] for answer in answers}
    assert sizes == {"1": [4.0, 2.0], "2": [40.0, 20.0]}
    with pytest.raises(InvalidArgument, match="an empty text"):
        client.predict(endpoint=endpoint, instances=[instance("")])
    body = json.dumps({"instances": [{"text_bytes": {"b64": "YWJj"}}]}).encode()
    raw = client.raw_predict(endpoint=endpoint, http_body=httpbody_pb2.HttpBody(data=body))
    (row,) = json.loads(raw.data)["predictions"]
    assert row["size"] in (3, 30)
    assert row["echo"] == "abc"
