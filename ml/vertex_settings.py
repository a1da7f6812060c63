"""The section ``vertex`` of a settings file: how the target ``vertex`` runs. :mod:`ml.settings` reads and checks it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from ml.settings_section import Section

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")

#: Labels of this prefix are Respan's own: by them it finds what it has submitted.
LABEL_PREFIX = "respan-"

_Count = Annotated[int, Field(ge=1)]


class Accelerators(Section):
    """Accelerators of one machine."""

    accelerator_type: str | None = Field(
        None, pattern="^[A-Z0-9_]+$", description="Vertex AI's name of the accelerator, such as NVIDIA_TESLA_T4."
    )
    accelerator_count: _Count | None = Field(None, description="How many of them a machine has.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.accelerator_type is None) != (self.accelerator_count is None):
            raise ValueError("accelerator_type and accelerator_count go together: give both, or none")
        return self


class VertexTrainingSettings(Accelerators):
    """What Trainer and Tuner get; Vertex AI takes the smallest machine type that has it."""

    cpus: float = Field(4, gt=0, description="Cores of the Trainer and the Tuner.")
    memory_gb: float = Field(16, gt=0, description="Memory of the Trainer and the Tuner, in GB.")


class VertexPredictionSettings(Accelerators):
    """The machines of a batch prediction job."""

    machine_type: str = Field("n1-standard-4", min_length=1, description="Machine type of batch prediction.")
    starting_replicas: int = Field(1, ge=1, description="Machines that a job starts with.")
    max_replicas: int = Field(4, ge=1, description="Most machines of one job.")
    batch_size: int = Field(64, ge=1, description="Samples in one call of the model.")


class VertexEndpointSettings(Accelerators):
    """The endpoint that serves the released model online."""

    enabled: bool = Field(False, description="Whether each release is deployed to the pipeline's endpoint.")
    machine_type: str = Field("n1-standard-2", min_length=1, description="Machine type of the endpoint.")
    min_replicas: int = Field(1, ge=1, description="Machines of each deployed version that are always there.")
    max_replicas: int = Field(2, ge=1, description="Most machines of each deployed version.")
    spot: bool = Field(False, description="Whether it may use cheaper machines that can be taken away at any time.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas must not be below min_replicas = {self.min_replicas}")
        return self


class VertexDataflowSettings(Section):
    """Dataflow for the Beam parts of the components; without it they run in the component's own container."""

    enabled: bool = Field(False, description="Whether Beam runs on Dataflow.")
    machine_type: str | None = Field(None, min_length=1, description="Machine type of its workers; null: its default.")
    max_workers: _Count | None = Field(None, description="Most workers of one job; null: its default.")
    service_account: str | None = Field(
        None, min_length=1, description="Account of the workers; null: the default one."
    )
    subnetwork: str | None = Field(None, min_length=1, description="Subnetwork of the workers; null: the default one.")
    public_ips: bool = Field(True, description="Whether the workers have addresses on the internet.")


class VertexSettings(Section):
    """Where and how the target vertex runs."""

    connection: str | None = Field(
        None, min_length=1, description="Airflow connection to Google Cloud; null: google_cloud_default."
    )
    project: str | None = Field(None, min_length=1, description="Google Cloud project; null: the connection's.")
    region: str = Field("us-central1", pattern="^[a-z]+-[a-z]+[0-9]+$", description="Region of all that runs.")
    image: str | None = Field(
        None,
        min_length=1,
        description="Container image with this code, in which the components run; null: the one that CI/CD built of "
        "the run's revision.",
    )
    service_account: str | None = Field(
        None, min_length=1, description="Account that components and predictions run as; null: the project's default."
    )
    network: str | None = Field(
        None, min_length=1, description="VPC network to be peered with: projects/<number>/global/networks/<name>."
    )
    encryption_key: str | None = Field(
        None,
        pattern="^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$",
        description="Customer-managed key (CMEK) of all that is made: its resource name in Cloud KMS.",
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Further labels of all that is made.")
    caching: bool = Field(True, description="Whether a component that ran with the same inputs is not run again.")
    failure_policy: Literal["fast", "slow"] = Field(
        "fast", description="fast: after a failure no further component starts; slow: those that still can do."
    )
    component_retries: int = Field(0, ge=0, le=10, description="How often Vertex AI retries a failed component.")
    poll_seconds: float = Field(30.0, gt=0, description="How often a run is looked at, in seconds.")
    serving_image: str = Field(
        "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest",
        min_length=1,
        description="Container image that serves models, for batch prediction and endpoint.",
    )
    training: VertexTrainingSettings = VertexTrainingSettings()
    prediction: VertexPredictionSettings = VertexPredictionSettings()
    endpoint: VertexEndpointSettings = VertexEndpointSettings()
    dataflow: VertexDataflowSettings = VertexDataflowSettings()

    @field_validator("labels")
    @classmethod
    def _valid_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for key, value in labels.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise ValueError(
                    f"{key}: {value} is no label of Google Cloud: lower-case letters, digits, - and _, at most 63"
                )
            if key.startswith(LABEL_PREFIX):
                raise ValueError(f"{key}: labels that begin with {LABEL_PREFIX} are Respan's own")
        return labels
