"""From settings to a Vertex AI pipeline: the same components as everywhere, written down by TFX's KubeflowV2DagRunner.

What only a run knows is left open: the strings in :data:`PARAMETERS` are parameters of the pipeline, given when it is
submitted; what else a run brings is in :class:`VertexPlace`, whose defaults stand for what wasn't given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline

from ml.errors import MissingEnvironmentError
from ml.settings import Settings
from ml.tfx.factory import BEAM_ARGUMENTS, create_pipeline
from ml.tfx.run_spec import NO_CHAMPION, Champion, RunSpec
from ml.tfx.sources import FUNCTIONS, sources_version
from ml.vertex_settings import VertexSettings

#: Parameter of the pipeline → the component and the property that it is given to. All are strings: the window's files
#: (a :class:`~ml.tfx.window_files.WindowFiles` as JSON) and their fingerprint, the URI of the reviewed schema, where
#: the model is pushed (TFX's PushDestination as JSON), and where the comparison with the champion is written.
PARAMETERS = {
    "files": ("ImportExampleGen", "files"),
    "fingerprint": ("ImportExampleGen", "fingerprint"),
    "schema_file": ("ImportSchemaGen", "schema_file"),
    "push_destination": ("Pusher", "push_destination"),
    "comparison": ("Comparison", "record"),
}

#: The components whose machines ``vertex.training`` describes.
_TRAINING = ("Trainer", "Tuner")

_FAILURE_POLICIES = {"fast": "PIPELINE_FAILURE_POLICY_FAIL_FAST", "slow": "PIPELINE_FAILURE_POLICY_FAIL_SLOW"}


@dataclass(frozen=True, slots=True)
class VertexPlace:
    """Where a pipeline runs, and with which code. No registry, bucket or project has a name as in the defaults.

    ``image``: the container image with this code in which each component runs. ``pipeline_root``: ``gs://…``, where
    they write. ``modules``: the URI of the run's revision of the pipeline's modules; None: those in the image.
    ``champion``: the release that the candidate is compared with.
    """

    image: str = "<image>"
    pipeline_root: str = "gs://<pipeline_root>"
    project: str = "<project>"
    modules: str | None = None
    champion: Champion = NO_CHAMPION


def compile_spec(
    settings: Settings, place: VertexPlace | None = None, parameters: Mapping[str, str] | None = None
) -> bytes:
    """A Vertex ``PipelineJob`` as JSON: the same bytes for the same settings, modules and version of TFX.

    ``parameters``: values for :data:`PARAMETERS`; without them the job can't be submitted yet. Raises
    ``MissingEnvironmentError`` where the part of TFX that compiles for Vertex is not installed.
    """
    try:
        from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow
    except ImportError as error:
        raise MissingEnvironmentError(
            f"TFX's environment can't compile for Vertex AI ({error}): run `make setup` to bring it up to date"
        ) from error
    place = place or VertexPlace()
    pipeline = _pipeline(settings, place)
    config = kubeflow.KubeflowV2DagRunnerConfig(
        default_image=place.image,
        default_commands=["python", "-m", "ml.tfx.vertex_node"],
        use_pipeline_spec_2_1=True,
    )
    job: dict[str, Any] = kubeflow.KubeflowV2DagRunner(config).run(
        pipeline, parameter_values=dict(parameters or {}), write_out=False
    )
    _complete(job, settings, place, pipeline)
    return (json.dumps(job, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _pipeline(settings: Settings, place: VertexPlace) -> Pipeline:
    """The pipeline without a run. It has no metadata store: Vertex brings its own."""
    unknown = RunSpec(
        run_id="compiled",
        pipeline_root=place.pipeline_root,
        push_folder="",
        schema_file="",
        sources=sources_version(settings),
        champion=place.champion,
    )
    pipeline = create_pipeline(settings, unknown, beam_arguments=beam_arguments(settings.vertex, place))
    pipeline.enable_cache = settings.vertex.caching
    pipeline.pipeline_info.pipeline_name = _vertex_name(settings)
    components = {component.id: component for component in pipeline.components}
    for name, (component, key) in PARAMETERS.items():
        components[component].spec.exec_properties[key] = RuntimeParameter(name=name, ptype=str)
    for name in _TRAINING:
        if name in components:
            components[name].with_platform_config(_resources(settings.vertex))
    return pipeline


def _vertex_name(settings: Settings) -> str:
    return settings.name.replace("_", "-")  # Vertex takes no underscores


def _resources(vertex: VertexSettings) -> Any:
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig

    kind = PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec
    resources = kind(cpu_limit=vertex.training.cpus, memory_limit=vertex.training.memory_gb)
    if vertex.training.accelerator_type:
        resources.accelerator.type = vertex.training.accelerator_type
        resources.accelerator.count = vertex.training.accelerator_count
    return resources


def beam_arguments(vertex: VertexSettings, place: VertexPlace) -> list[str]:
    """How Beam runs on the target vertex: in each component's container, or on Dataflow with that image's workers."""
    dataflow = vertex.dataflow
    if not dataflow.enabled:
        return BEAM_ARGUMENTS
    optional = {
        "worker_machine_type": dataflow.machine_type,
        "max_num_workers": dataflow.max_workers,
        "service_account_email": dataflow.service_account,
        "subnetwork": dataflow.subnetwork,
        "dataflow_kms_key": vertex.encryption_key,
    }
    return [
        "--runner=DataflowRunner",
        f"--project={place.project}",
        f"--region={vertex.region}",
        f"--temp_location={place.pipeline_root}/dataflow",
        "--experiments=use_runner_v2",  # workers in an image of one's own need it
        f"--sdk_container_image={place.image}",
        *(f"--{name}={value}" for name, value in optional.items() if value is not None),
        *([] if dataflow.public_ips else ["--no_use_public_ips"]),
        *(f"--labels={key}={value}" for key, value in sorted(vertex.labels.items())),
    ]


def _complete(job: dict[str, Any], settings: Settings, place: VertexPlace, pipeline: Pipeline) -> None:
    """What TFX's compiler has no words for: each container's own command, retries, and the failure policy."""
    job["runtimeConfig"]["failurePolicy"] = _FAILURE_POLICIES[settings.vertex.failure_policy]
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    for component in pipeline.components:
        container = executors.get(f"{component.id}_executor", {}).get("container")
        if container is None:
            continue
        container["command"] += _own_command(settings.name, component, place)
        if settings.vertex.component_retries:
            tasks[component.id]["retryPolicy"] = {
                "maxRetryCount": settings.vertex.component_retries,
                "backoffDuration": "30s",
                "backoffFactor": 2.0,
            }


def _own_command(pipeline: str, component: BaseNode, place: VertexPlace) -> list[str]:
    """Arguments of :mod:`ml.tfx.vertex_node`. Only components that use the pipeline's modules get their place: the
    command is part of Vertex's cache key, and the others' results stay good whatever the revision."""
    command = ["--node", component.id]
    if any(component.exec_properties.get(key) for key in (*FUNCTIONS, "pipeline")):
        command += ["--pipeline", pipeline]
        if place.modules is not None:
            command += ["--modules", place.modules]
    return command
