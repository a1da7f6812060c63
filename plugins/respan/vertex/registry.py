"""Releases in Vertex AI's model registry: each version of the pipeline's model once, with aliases.

The pipeline is one model there, each release a version of it. ``release-<version>`` finds a release's version, where
the answer to its upload was lost, too; ``candidate`` is the newest release, ``production`` the one that serves.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ml import layout, releases
from ml.errors import ConflictError, NotFoundError, RemoteError, SettingsError
from ml.records import now
from ml.settings import Settings
from ml.storage import ABSENT, Storage
from ml.vertex_records import RegisteredModel
from ml.vertex_settings import LABEL_PREFIX
from respan.vertex import operations
from respan.vertex.clearing_up import clear_up
from respan.vertex.failures import google_errors
from respan.vertex.names import label_value, labels, resource_id
from respan.vertex.operations import CALL_SECONDS, Operation
from respan.vertex.place import Place

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Model

CANDIDATE = "candidate"
PRODUCTION = "production"


def model_id(pipeline: str) -> str:
    """The id of the pipeline's model."""
    return resource_id(pipeline.replace("_", "-"))


def release_alias(version: int) -> str:
    return f"release-{version}"


def ensure_registered(place: Place, settings: Settings, storage: Storage, version: int) -> RegisteredModel:
    """The release in the registry, uploaded now if it isn't there. Blocks, for minutes where it uploads.

    Every call returns the same version of the model, also of several at the same time and after any failure. Raises
    ``NotFoundError`` for a version that isn't released, and what :func:`respan.vertex.failures.told` makes of a
    refusal.
    """
    while (found := registered(place, settings, storage, version)) is None:
        operations.wait(place, upload(place, settings, storage, version), settings.vertex.poll_seconds)
    leave_one(place, settings, found, version)
    return found


def registered(place: Place, settings: Settings, storage: Storage, version: int) -> RegisteredModel | None:
    """The release in the registry, None where it isn't there yet. Writes its record where an upload has just ended."""
    name = layout.registered_model(version)
    try:
        return RegisteredModel.from_json(storage.read(name))
    except NotFoundError:
        pass
    found = _model(place, f"{model_id(settings.name)}@{release_alias(version)}")
    if found is None:
        return None
    record = RegisteredModel(model=_plain(found.name), version_id=found.version_id, registered=now())
    try:
        storage.write(name, record.to_json(), if_generation=ABSENT)
    except ConflictError:  # somebody else was quicker
        return RegisteredModel.from_json(storage.read(name))
    return record


def upload(place: Place, settings: Settings, storage: Storage, version: int) -> Operation:
    """Begins to upload the release, which :func:`registered` doesn't find; what is to be awaited before it does.

    Where an upload to the pipeline's model is under way it is that one, since it may be the same release, whose answer
    was lost.
    """
    from google.api_core.exceptions import AlreadyExists

    own, doing = model_id(settings.name), f"register release {version} of {settings.name}"
    request = _upload_request(place, settings, storage, version)
    model = _model(place, own)
    name = f"{place.parent}/models/{own}" if model is None else _plain(model.name)
    if under_way := operations.unfinished(place, name, doing):
        return under_way
    request |= {"model_id": own} if model is None else {"parent_model": name}
    with google_errors(doing):
        try:
            started = _hook(place).get_model_service_client(place.region).upload_model(request, timeout=CALL_SECONDS)
        except AlreadyExists:
            raise RemoteError(
                f"can't {doing}: somebody else is making model {own}: a retry goes on from there"
            ) from None
    return Operation(started.operation.name, doing)


def leave_one(place: Place, settings: Settings, record: RegisteredModel, version: int) -> None:
    """Deletes other uploads of the same release: of two callers at once, or begun again since nobody saw the first.

    Blocks until they are gone. Their aliases move to the recorded one. Through errors that pass; what can't be deleted
    is told in the log, with how to delete it, and keeps nothing from going on: it serves nobody.
    """
    own = model_id(settings.name)
    clear_up(
        lambda: _leave_one(place, settings, record, version),
        f"release {version} may be in the registry twice, which costs and harms nothing: the next task that predicts "
        f"with it or lets it serve deletes all but version {record.version_id}; or do it with gcloud ai models "
        f"list-version {own} and gcloud ai models delete-version {own}@VERSION, both with --project={place.project} "
        f"--region={place.region}",
    )


def set_production(place: Place, registered_model: RegisteredModel) -> None:
    """Moves the alias ``production`` to the version. To be called when it serves."""
    own = registered_model.model.rpartition("/")[2]
    serving = _model(place, f"{own}@{PRODUCTION}")
    if serving is None or serving.version_id != registered_model.version_id:
        _set_aliases(place, registered_model, [PRODUCTION])


def _upload_request(place: Place, settings: Settings, storage: Storage, version: int) -> dict[str, Any]:
    release = releases.read_release(storage, version)
    if not storage.root.startswith("gs://"):
        raise SettingsError(
            f"the models are in {storage.root}, where Vertex AI can't read them: set RESPAN_STORAGE to gs://…"
        )
    vertex = settings.vertex
    request: dict[str, Any] = {
        "parent": place.parent,
        "model": {
            "display_name": settings.name,
            "description": settings.description,
            "version_description": f"Release {version}: {release.reason}",
            "version_aliases": [release_alias(version), *([CANDIDATE] if _is_newest(storage, version) else [])],
            "artifact_uri": storage.uri(layout.model(version)),
            "container_spec": {"image_uri": vertex.serving_image},
            "labels": labels(settings, version=str(version), run=release.run),
        },
    }
    if vertex.encryption_key:
        request["model"]["encryption_spec"] = {"kms_key_name": vertex.encryption_key}
    if vertex.service_account:
        request["service_account"] = vertex.service_account
    return request


def _is_newest(storage: Storage, version: int) -> bool:
    """Whether no later release is registered: an early one that is registered late is no candidate."""
    later = (other for other in releases.versions(storage) if other > version)
    return not any(storage.exists(layout.registered_model(other)) for other in later)


def _uploads(place: Place, settings: Settings, version: int) -> list[Model]:
    """Every version of the pipeline's model that is the release."""
    own, release = model_id(settings.name), label_value(str(version))
    with google_errors(f"list the versions of model {own}"):
        listed = _hook(place).list_model_versions(
            region=place.region, project_id=place.project, model_id=own, timeout=CALL_SECONDS
        )
        return [found for found in listed if found.labels.get(f"{LABEL_PREFIX}version") == release]


def _leave_one(place: Place, settings: Settings, record: RegisteredModel, version: int) -> None:
    same = _uploads(place, settings, version)
    others = [found.version_id for found in same if found.version_id != record.version_id]
    if others:
        _set_aliases(place, record, sorted({name for found in same for name in found.version_aliases}))
    for other in others:
        _delete(place, f"{model_id(settings.name)}@{other}", settings.vertex.poll_seconds)


def _delete(place: Place, name: str, poll_seconds: float) -> None:
    from google.api_core.exceptions import NotFound

    doing = f"delete {name}, a second upload"
    with google_errors(doing), contextlib.suppress(NotFound):
        started = _hook(place).delete_model_version(
            region=place.region, project_id=place.project, model_id=name, timeout=CALL_SECONDS
        )
        operations.wait(place, Operation(started.operation.name, doing), poll_seconds)


def _set_aliases(place: Place, record: RegisteredModel, aliases: list[str]) -> None:
    own = record.pinned.rpartition("/")[2]
    with google_errors(f"set {', '.join(aliases)} on model {own}"):
        _hook(place).add_version_aliases(
            region=place.region,
            project_id=place.project,
            model_id=own,
            version_aliases=aliases,
            timeout=CALL_SECONDS,
        )


def _model(place: Place, name: str) -> Model | None:
    """A model by its id, ``<id>@<alias>`` or ``<id>@<version>``."""
    from google.api_core.exceptions import NotFound

    with google_errors(f"look model {name} up"):
        try:
            found: Model = _hook(place).get_model(
                region=place.region, project_id=place.project, model_id=name, timeout=CALL_SECONDS
            )
        except NotFound:
            return None
    return found


def _plain(name: str) -> str:
    """A model's resource name without a version."""
    return name.partition("@")[0]


def _hook(place: Place) -> Any:
    from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook

    return ModelServiceHook(gcp_conn_id=place.connection)
