"""Each request with which a release gets to serve, field by field, against Vertex AI's own message types."""

from __future__ import annotations

import pytest
from google.cloud.aiplatform_v1 import types
from google.protobuf import field_mask_pb2

from tests.gcp.serve_stage import Pipeline, Stage, prepared, stage

__all__ = ["prepared", "stage"]

KEY = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k"
ACCOUNT = "respan-vertex@respan-test.iam.gserviceaccount.com"
IMAGE = "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
FULL = f"""  service_account: {ACCOUNT}
  encryption_key: {KEY}
  labels: {{team: vision}}
  serving_image: {IMAGE}
  endpoint:
    enabled: true
    machine_type: n1-standard-8
    accelerator_type: NVIDIA_TESLA_T4
    accelerator_count: 2
    min_replicas: 2
    max_replicas: 5
    spot: true
"""


@pytest.fixture
def served(stage: Stage) -> Pipeline:
    """Version 1, then version 2, with everything set."""
    pipeline = stage.pipeline(FULL)
    pipeline.serve(1).attempt()
    pipeline.serve(2).attempt()
    return pipeline


def number_of(stage: Stage) -> str:
    return f"projects/{stage.cloud.project_number}/locations/{stage.cloud.region}"


def labels(pipeline: Pipeline, **own: str) -> dict[str, str]:
    return {"team": "vision", "respan-pipeline": pipeline.name, **{f"respan-{k}": v for k, v in own.items()}}


def test_what_is_asked_to_let_two_releases_serve(stage: Stage, served: Pipeline) -> None:
    place, own, number = served.place, served.cloud_id, number_of(stage)

    def model(version: int) -> types.Model:
        return types.Model(
            display_name=served.name,
            version_description=f"Release {version}: started by hand",
            version_aliases=[f"release-{version}", "candidate"],
            artifact_uri=f"{stage.root}/{served.name}/models/{version}",
            container_spec={"image_uri": IMAGE},
            labels=labels(served, version=str(version), run=f"run-{version}"),
            encryption_spec={"kms_key_name": KEY},
        )

    assert stage.requests("ModelService.UploadModel", served) == [
        types.UploadModelRequest(parent=place.parent, model_id=own, model=model(1), service_account=ACCOUNT),
        types.UploadModelRequest(
            parent=place.parent, parent_model=f"{number}/models/{own}", model=model(2), service_account=ACCOUNT
        ),
    ]
    assert stage.requests("ModelService.MergeVersionAliases", served) == [
        types.MergeVersionAliasesRequest(name=f"{place.parent}/models/{own}@{version}", version_aliases=["production"])
        for version in (1, 2)
    ]
    assert stage.requests("EndpointService.CreateEndpoint", served) == [
        types.CreateEndpointRequest(
            parent=place.parent,
            endpoint_id=own,
            endpoint={
                "display_name": served.name,
                "labels": labels(served),
                "encryption_spec": {"kms_key_name": KEY},
            },
        )
    ]

    def deployed(version: int) -> types.DeployedModel:
        return types.DeployedModel(
            id=str(version),
            display_name=f"{served.name}-{version}",
            model=f"{number}/models/{own}@{version}",
            service_account=ACCOUNT,
            dedicated_resources={
                "machine_spec": {
                    "machine_type": "n1-standard-8",
                    "accelerator_type": "NVIDIA_TESLA_T4",
                    "accelerator_count": 2,
                },
                "min_replica_count": 2,
                "max_replica_count": 5,
                "spot": True,
            },
        )

    endpoint = f"{place.parent}/endpoints/{own}"
    assert stage.requests("EndpointService.DeployModel", served) == [
        types.DeployModelRequest(endpoint=endpoint, deployed_model=deployed(1), traffic_split={"0": 100}),
        types.DeployModelRequest(endpoint=endpoint, deployed_model=deployed(2)),
    ]
    (shift,) = stage.requests("EndpointService.UpdateEndpoint", served)
    etag = shift.endpoint.etag
    assert etag
    assert shift == types.UpdateEndpointRequest(
        endpoint={"name": endpoint, "display_name": served.name, "traffic_split": {"2": 100}, "etag": etag},
        update_mask=field_mask_pb2.FieldMask(paths=["traffic_split"]),
    )
    assert stage.requests("EndpointService.UndeployModel", served) == [
        types.UndeployModelRequest(endpoint=endpoint, deployed_model_id="1")
    ]


def test_what_is_not_set_is_not_asked(stage: Stage) -> None:
    pipeline = stage.pipeline()
    pipeline.serve(1).attempt()
    (upload,) = stage.requests("ModelService.UploadModel", pipeline)
    assert "encryption_spec" not in upload.model
    assert upload.service_account == ""
    (create,) = stage.requests("EndpointService.CreateEndpoint", pipeline)
    assert "encryption_spec" not in create.endpoint
    assert create.endpoint.network == ""
    (deploy,) = stage.requests("EndpointService.DeployModel", pipeline)
    machine = deploy.deployed_model.dedicated_resources.machine_spec
    assert (machine.machine_type, machine.accelerator_count) == ("n1-standard-2", 0)
    assert deploy.deployed_model.service_account == ""
