"""From settings to a Vertex AI pipeline: the same components as everywhere, written down by TFX's KubeflowV2DagRunner.

What only a run knows is left open: the strings in :data:`PARAMETERS` are parameters of the pipeline, given when it is
submitted; its image and its root in Cloud Storage are :data:`IMAGE` and :data:`PIPELINE_ROOT` until they are given.
"""

from __future__ import annotations

import json
from typing import Any

from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline

from ml.errors import MissingEnvironmentError
from ml.settings import Settings
from ml.tfx.factory import create_pipeline
from ml.tfx.run_spec import RunSpec
from ml.tfx.sources import sources_version

#: Parameter of the pipeline → the component and the property that it is given to. All are strings: the window's files
#: (JSON, split → URIs) and their fingerprint as in :class:`~ml.tfx.run_spec.RunSpec`, the URI of the reviewed schema,
#: and where the model is pushed (TFX's PushDestination as JSON).
PARAMETERS = {
    "files": ("ImportExampleGen", "files"),
    "fingerprint": ("ImportExampleGen", "fingerprint"),
    "schema_file": ("ImportSchemaGen", "schema_file"),
    "push_destination": ("Pusher", "push_destination"),
}

#: What stands in a spec for what wasn't given. No registry and no bucket has such a name.
IMAGE = "<image>"
PIPELINE_ROOT = "gs://<pipeline_root>"


def compile_spec(settings: Settings, *, image: str = IMAGE, pipeline_root: str = PIPELINE_ROOT) -> bytes:
    """A Vertex ``PipelineJob`` as JSON: the same bytes for the same settings, modules and version of TFX.

    ``image``: the container image with this code in which each component runs. ``pipeline_root``: ``gs://…``, where
    they write. Raises ``MissingEnvironmentError`` where the part of TFX that compiles for Vertex is not installed.
    """
    try:
        from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow
    except ImportError as error:
        raise MissingEnvironmentError(
            f"TFX's environment can't compile for Vertex AI ({error}): run `make setup` to bring it up to date"
        ) from error
    config = kubeflow.KubeflowV2DagRunnerConfig(default_image=image, use_pipeline_spec_2_1=True)
    job: dict[str, Any] = kubeflow.KubeflowV2DagRunner(config).run(_pipeline(settings, pipeline_root), write_out=False)
    return (json.dumps(job, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _pipeline(settings: Settings, pipeline_root: str) -> Pipeline:
    """The pipeline without a run. It has no metadata store: Vertex brings its own."""
    unknown = RunSpec(
        run_id="compiled",
        pipeline_root=pipeline_root,
        push_folder="",
        schema_file="",
        sources=sources_version(settings),
    )
    pipeline = create_pipeline(settings, unknown)
    pipeline.pipeline_info.pipeline_name = settings.name.replace("_", "-")  # Vertex takes no underscores
    components = {component.id: component for component in pipeline.components}
    for name, (component, key) in PARAMETERS.items():
        components[component].spec.exec_properties[key] = RuntimeParameter(name=name, ptype=str)
    return pipeline
