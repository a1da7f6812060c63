"""Prepares a training run and runs its nodes on the local target."""

from __future__ import annotations

import contextlib
import hashlib

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from ml import layout
from ml.errors import ConflictError, NotFoundError, SettingsError
from ml.home import pipeline_folder, pipeline_storage
from ml.releases import read_release
from ml.runs import TrainingRun
from ml.settings import Settings, load_settings
from ml.storage import ABSENT, Storage
from ml.tfx.node import LocalRun
from ml.tfx.run_spec import Champion, RunSpec
from ml.tfx.sources import sources_version
from ml.tfx.window_files import window_files

SCHEMA = "schema.pbtxt"


def local_run(run: TrainingRun) -> LocalRun:
    """The run, compiled for the local target. Writes nothing but the content-named copy of the schema."""
    settings = load_settings(run.pipeline, run.settings)
    return LocalRun(settings, run_spec(settings, run, pipeline_storage(run.pipeline)))


def run_spec(settings: Settings, run: TrainingRun, storage: Storage) -> RunSpec:
    """The run as the factory needs it. Raises ``NotFoundError`` where the pipeline has no schema yet, and
    ``SettingsError`` where it has one that can't be read."""
    files, fingerprint = window_files(storage, run.window, run.comparison or run.window)
    return RunSpec(
        run_id=run.run,
        pipeline_root=storage.uri(layout.ARTIFACTS),
        push_folder=storage.uri(layout.run(run.run, "pushed")),
        schema_file=_publish_schema(settings.name, storage),
        sources=sources_version(settings),
        comparison=storage.uri(layout.run(run.run, layout.COMPARISON)),
        champion=_champion(storage, run),
        fingerprint=fingerprint,
        files=files,
    )


def _champion(storage: Storage, run: TrainingRun) -> Champion:
    if run.champion is None:
        return Champion(uri=storage.uri(layout.NO_CHAMPION))
    release = read_release(storage, run.champion)
    return Champion(release.version, release.run, storage.uri(layout.model(release.version)))


def _publish_schema(pipeline: str, storage: Storage) -> str:
    """Copies the reviewed schema to where TFX reads it; the name changes with the content, and so TFX's cache key."""
    file = pipeline_folder(pipeline) / SCHEMA
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"{file} is missing; run `python -m ml schema infer {pipeline}`, and review it") from None
    try:
        text_format.Parse(content, schema_pb2.Schema())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not a schema: {' '.join(str(error).split())}") from error
    name = f"{layout.RUNS}/schemas/{hashlib.sha256(content).hexdigest()[:16]}.pbtxt"
    with contextlib.suppress(ConflictError):  # there already, with this content
        storage.write(name, content, if_generation=ABSENT)
    return storage.uri(name)
