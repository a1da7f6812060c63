"""Vertex AI's model registry.

Rules are from the documentation of ``google.cloud.aiplatform_v1.types``: ``UploadModelRequest``, ``Model``
(``version_aliases``), ``MergeVersionAliasesRequest``, and of the client's methods (``delete_model_version``). That an
alias moves when another version gets it is from https://cloud.google.com/vertex-ai/docs/model-registry/model-alias.
Unlike the service, it doesn't copy the artifacts at the upload: they are read where they are used.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from tests.gcp.calls import Call
from tests.gcp.service import Method, Refusal
from tests.gcp.services.model_artifacts import check_saved_model, split
from tests.gcp.services.resource_listing import Fields, filtered, ordered, page
from tests.gcp.services.scripts import Script
from tests.gcp.services.vertex_resources import (
    canonical,
    check_acting_as,
    failed_precondition,
    invalid,
    last,
    not_found,
    now,
    operation,
)

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9-]")
_FIELDS: Fields = {
    "model": lambda model: last(model.name).partition("@")[0],
    "display_name": lambda model: model.display_name,
    "labels": lambda model: dict(model.labels),
    "create_time": lambda model: model.create_time.isoformat(),
    "update_time": lambda model: model.update_time.isoformat(),
}


@dataclass
class _Model:
    """A model: its versions by id, and the newest id ever given. Without versions, its first upload goes on."""

    versions: dict[str, types.Model] = field(default_factory=dict)
    newest: int = 0


class ModelRegistry:
    """``ModelService``. ``script`` holds or fails its operations: ``"UploadModel <model id>"``, ``"DeleteModel …"``."""

    name = "google.cloud.aiplatform.v1.ModelService"

    def __init__(self) -> None:
        self.script = Script()
        self._lock = RLock()
        self._models: dict[str, _Model] = {}
        self._deployed: dict[tuple[str, str], str] = {}
        t, lro = types, operations_pb2.Operation
        self.methods: Mapping[str, Method] = {
            "UploadModel": Method(t.UploadModelRequest, lro, "aiplatform.models.upload", self._upload),
            "GetModel": Method(t.GetModelRequest, t.Model, "aiplatform.models.get", self._get),
            "ListModels": Method(t.ListModelsRequest, t.ListModelsResponse, "aiplatform.models.list", self._list),
            "ListModelVersions": Method(
                t.ListModelVersionsRequest, t.ListModelVersionsResponse, "aiplatform.models.list", self._list_versions
            ),
            "MergeVersionAliases": Method(
                t.MergeVersionAliasesRequest, t.Model, "aiplatform.models.update", self._merge_aliases
            ),
            "DeleteModelVersion": Method(
                t.DeleteModelVersionRequest, lro, "aiplatform.models.delete", self._delete_version
            ),
            "DeleteModel": Method(t.DeleteModelRequest, lro, "aiplatform.models.delete", self._delete),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud

    def detach(self) -> None:
        self.script.close()

    def find(self, name: str) -> types.Model:
        """A copy of the version that ``name`` means, ``…/models/<id>[@<version or alias>]``. Raises Refusal."""
        with self._lock:
            model, version = self._version(name)
            return self._told(model.versions[version])

    def deployed(self, version: types.Model, endpoint: str, deployed_id: str) -> None:
        """Note that a version serves on an endpoint."""
        with self._lock:
            self._deployed[endpoint, deployed_id] = f"{version.name}@{version.version_id}"

    def undeployed(self, endpoint: str, deployed_id: str) -> None:
        """Take back ``deployed``."""
        with self._lock:
            del self._deployed[endpoint, deployed_id]

    def _version(self, name: str) -> tuple[_Model, str]:
        base, _, version = canonical(self._cloud, name).partition("@")
        model = self._models.get(base)
        if model is not None and model.versions:
            for known in model.versions.values():
                if version == known.version_id or (version or "default") in known.version_aliases:
                    return model, known.version_id
        raise not_found(f'The Model "{name}" does not exist.')

    def _told(self, version: types.Model) -> types.Model:
        told = types.Model(version)
        for (endpoint, deployed_id), name in sorted(self._deployed.items()):
            if name == f"{version.name}@{version.version_id}":
                told.deployed_models.append(types.DeployedModelRef(endpoint=endpoint, deployed_model_id=deployed_id))
        return told

    def _upload(self, request: types.UploadModelRequest, call: Call) -> operations_pb2.Operation:
        check_acting_as(self._cloud, call, request.service_account)
        _check_uploaded(request)
        with self._lock:
            if request.parent_model:
                name = canonical(self._cloud, request.parent_model.partition("@")[0])
                if not (name in self._models and self._models[name].versions):
                    raise not_found(f'The Model "{request.parent_model}" does not exist.')
            else:
                model_id = request.model_id or str(secrets.randbelow(10**18) + 10**18)
                name = f"{canonical(self._cloud, request.parent + '/')}models/{model_id}"
                if name in self._models:
                    raise Refusal(grpc.StatusCode.ALREADY_EXISTS, f'The Model "{name}" already exists.')
                self._models[name] = _Model()

        def work() -> types.UploadModelResponse:
            check_saved_model(self._cloud, request.model.artifact_uri)
            return self._add(name, request.model)

        def always() -> None:
            with self._lock:
                if name in self._models and not self._models[name].versions:
                    del self._models[name]

        return operation(
            self._cloud,
            self.script,
            name,
            "UploadModel",
            types.UploadModelResponse,
            types.UploadModelOperationMetadata,
            work,
            always,
        )

    def _add(self, name: str, uploaded: types.Model) -> types.UploadModelResponse:
        with self._lock:
            model = self._models.get(name)
            if model is None:
                raise not_found(f'The Model "{name}" does not exist.')
            model.newest += 1
            version = types.Model(uploaded)
            aliases = list(dict.fromkeys([*([] if model.versions else ["default"]), *uploaded.version_aliases]))
            version.name, version.version_id = name, str(model.newest)
            version.version_aliases = []
            version.create_time = version.update_time = now()
            version.version_create_time = version.version_update_time = version.create_time
            version.supported_deployment_resources_types = ["DEDICATED_RESOURCES", "SHARED_RESOURCES"]
            version.supported_input_storage_formats = ["jsonl", "bigquery", "csv", "tf-record", "file-list"]
            version.supported_output_storage_formats = ["jsonl", "bigquery"]
            version.etag = secrets.token_urlsafe(9)
            model.versions[version.version_id] = version
            self._move_aliases(model, version, aliases)
            return types.UploadModelResponse(model=name, model_version_id=version.version_id)

    def _move_aliases(self, model: _Model, version: types.Model, aliases: list[str]) -> None:
        for other in model.versions.values():
            other.version_aliases = [alias for alias in other.version_aliases if alias not in aliases]
        version.version_aliases = [*version.version_aliases, *aliases]

    def _get(self, request: types.GetModelRequest, call: Call) -> types.Model:
        return self.find(request.name)

    def _list(self, request: types.ListModelsRequest, call: Call) -> types.ListModelsResponse:
        parent = canonical(self._cloud, request.parent + "/")
        with self._lock:
            names = [name for name, model in self._models.items() if model.versions and name.startswith(parent)]
            models = [self.find(name) for name in reversed(names)]
        found = ordered(filtered(models, request.filter, _FIELDS), request.order_by, _FIELDS)
        shown, token = page(found, request.page_size, request.page_token)
        return types.ListModelsResponse(models=shown, next_page_token=token)

    def _list_versions(self, request: types.ListModelVersionsRequest, call: Call) -> types.ListModelVersionsResponse:
        """In the answers, the name has the version's id."""
        with self._lock:
            model, _ = self._version(request.name.partition("@")[0])
            versions = [self._told(version) for version in reversed(model.versions.values())]
        for version in versions:
            version.name = f"{version.name}@{version.version_id}"
        found = ordered(filtered(versions, request.filter, _FIELDS), request.order_by, _FIELDS)
        shown, token = page(found, request.page_size, request.page_token)
        return types.ListModelVersionsResponse(models=shown, next_page_token=token)

    def _merge_aliases(self, request: types.MergeVersionAliasesRequest, call: Call) -> types.Model:
        with self._lock:
            model, version_id = self._version(request.name)
            if last(request.name).partition("@")[2] != version_id:
                raise invalid(f"name must include the ID of a version explicitly: {request.name!r}")
            version = model.versions[version_id]
            removed = {alias[1:] for alias in request.version_aliases if alias.startswith("-")}
            added = [alias for alias in request.version_aliases if not alias.startswith("-") and alias not in removed]
            _check_aliases([*added, *removed])
            if "default" in removed and "default" in version.version_aliases:
                raise invalid("The default alias can't be removed: one version must have it. Give it to another one.")
            self._move_aliases(model, version, added)
            version.version_aliases = [alias for alias in version.version_aliases if alias not in removed]
            version.version_update_time = now()
            return self._told(version)

    def _delete_version(self, request: types.DeleteModelVersionRequest, call: Call) -> operations_pb2.Operation:
        with self._lock:
            model, version_id = self._version(request.name)
            version = model.versions[version_id]
            if last(request.name).partition("@")[2] != version_id:
                raise invalid(f"name must include the ID of a version explicitly: {request.name!r}")
            if len(model.versions) == 1:
                raise failed_precondition(f'"{request.name}" is the only version: delete the Model instead.')
            if "default" in version.version_aliases:
                raise failed_precondition(f'"{request.name}" is the default version, and can\'t be deleted.')
            self._check_not_deployed(f"{version.name}@{version_id}")

        def work() -> empty_pb2.Empty:
            with self._lock:
                model.versions.pop(version_id, None)
            return empty_pb2.Empty()

        return self._deletion(version.name, "DeleteModelVersion", work)

    def _delete(self, request: types.DeleteModelRequest, call: Call) -> operations_pb2.Operation:
        with self._lock:
            model, _ = self._version(request.name)
            name = next(iter(model.versions.values())).name
            self._check_not_deployed(name)

        def work() -> empty_pb2.Empty:
            with self._lock:
                self._models.pop(name, None)
            return empty_pb2.Empty()

        return self._deletion(name, "DeleteModel", work)

    def _check_not_deployed(self, name: str) -> None:
        for (endpoint, _), deployed in self._deployed.items():
            if deployed == name or deployed.partition("@")[0] == name:
                raise failed_precondition(f'The Model "{name}" is deployed or being deployed at "{endpoint}".')

    def _deletion(self, name: str, method: str, work: Any) -> operations_pb2.Operation:
        return operation(self._cloud, self.script, name, method, empty_pb2.Empty, types.DeleteOperationMetadata, work)


def _check_uploaded(request: types.UploadModelRequest) -> None:
    model = request.model
    if request.model_id and not _ID.fullmatch(request.model_id):
        raise invalid(f"Invalid model_id {request.model_id!r}: [a-z0-9_-], at most 63, no digit or hyphen at first.")
    if len(model.display_name) > 128:
        raise invalid("model.display_name must have at most 128 characters.")
    if "container_spec" not in model:
        raise invalid("model.container_spec is required for a custom-trained model.")
    split(model.artifact_uri, "model.artifact_uri")
    _check_aliases(list(model.version_aliases))


def _check_aliases(aliases: list[str]) -> None:
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise invalid(f"Invalid version alias {alias!r}: it must match [a-z][a-zA-Z0-9-]{{0,126}}[a-z-0-9].")
