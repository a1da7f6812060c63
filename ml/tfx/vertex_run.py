"""A training run as a Vertex AI pipeline job: ``runs/<run>/vertex.json``, complete but for what its submission adds."""

from __future__ import annotations

import json

from ml import layout
from ml.errors import ConflictError, SettingsError
from ml.home import pipeline_storage
from ml.runs import TrainingRun, vertex_image
from ml.settings import load_settings
from ml.tfx.running import run_spec
from ml.tfx.vertex_spec import VertexPlace, compile_spec


def write_job(run: TrainingRun, project: str) -> tuple[str, dict[str, str]]:
    """Writes the job of ``run`` in Google Cloud's ``project``; its name in storage, and its parameters' values.

    The run's code has to be in place (:func:`ml.runs.code_of`). A repeat replaces the document by an equal one.
    Raises ``ConflictError`` for a run with another target.
    """
    settings, storage = load_settings(run.pipeline, run.settings), pipeline_storage(run.pipeline)
    if run.target != "vertex":
        raise ConflictError(f"run {run.run} was started with target {run.target}: only one of vertex has a job")
    image = vertex_image(settings, run)
    if image is None:
        raise SettingsError(f"run {run.run} has no container image any more: set vertex.image of {run.pipeline}")
    spec = run_spec(settings, run, storage)
    parameters = {
        "files": spec.files.model_dump_json(),
        "fingerprint": spec.fingerprint,
        "schema_file": spec.schema_file,
        "push_destination": json.dumps({"filesystem": {"base_directory": spec.push_folder}}),
        "comparison": spec.comparison,
    }
    place = VertexPlace(
        image=image,
        pipeline_root=spec.pipeline_root,
        project=project,
        modules=storage.uri(layout.modules(run.revision)) if run.revision else None,
        champion=spec.champion,
    )
    name = layout.run(run.run, layout.VERTEX_JOB)
    storage.write(name, compile_spec(settings, place, parameters))
    return name, parameters
