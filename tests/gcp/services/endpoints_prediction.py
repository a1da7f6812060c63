"""Online prediction: the models of an endpoint answer, each with its share of the calls."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from google.api import httpbody_pb2
from google.cloud.aiplatform_v1 import types
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.gcp.calls import Call
from tests.gcp.service import Method
from tests.gcp.services.endpoints import Endpoints
from tests.gcp.services.endpoints_traffic import Shares
from tests.gcp.services.model_artifacts import download
from tests.gcp.services.model_registry import ModelRegistry
from tests.gcp.services.model_server import ModelServer, ModelServerError
from tests.gcp.services.vertex_resources import failed_precondition, invalid, last

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud


class OnlinePrediction:
    """``PredictionService``: a model server for each model that was asked, until the cloud ends."""

    name = "google.cloud.aiplatform.v1.PredictionService"

    def __init__(self, registry: ModelRegistry, endpoints: Endpoints, tfx_python: Path) -> None:
        self._registry, self._endpoints, self._tfx_python = registry, endpoints, tfx_python
        self._lock = Lock()
        self._servers: dict[tuple[str, str], ModelServer] = {}
        self._shares: dict[str, Shares] = {}
        permission = "aiplatform.endpoints.predict"
        self.methods: Mapping[str, Method] = {
            "Predict": Method(types.PredictRequest, types.PredictResponse, permission, self._predict),
            "RawPredict": Method(types.RawPredictRequest, httpbody_pb2.HttpBody, permission, self._raw_predict),
        }

    def attach(self, cloud: LoopbackCloud) -> None:
        self._cloud = cloud
        self._folder = Path(tempfile.mkdtemp(prefix="served-", dir=cloud.folder))

    def detach(self) -> None:
        with self._lock:
            for server in self._servers.values():
                server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _predict(self, request: types.PredictRequest, call: Call) -> types.PredictResponse:
        instances = [MessageToDict(instance) for instance in types.PredictRequest.pb(request).instances]
        predictions, deployed = self._answer(request.endpoint, instances)
        response = types.PredictResponse(
            deployed_model_id=deployed.id,
            model=deployed.model,
            model_version_id=deployed.model_version_id,
            model_display_name=deployed.display_name,
        )
        for prediction in predictions:
            ParseDict(prediction, types.PredictResponse.pb(response).predictions.add())
        return response

    def _raw_predict(self, request: types.RawPredictRequest, call: Call) -> httpbody_pb2.HttpBody:
        try:
            instances = json.loads(request.http_body.data)["instances"]
        except (ValueError, KeyError, TypeError) as error:
            raise invalid(f"The body is no JSON object with instances: {error!r}") from error
        predictions, _ = self._answer(request.endpoint, instances)
        body = json.dumps({"predictions": predictions}).encode()
        return httpbody_pb2.HttpBody(content_type="application/json", data=body)

    def _answer(self, name: str, instances: list[Any]) -> tuple[list[Any], types.DeployedModel]:
        endpoint = self._endpoints.find(name)
        split = {key: share for key, share in endpoint.traffic_split.items() if share}
        if not split:
            raise failed_precondition(f"Endpoint {endpoint.name} doesn't have traffic_split.")
        with self._lock:
            chosen = self._shares.setdefault(endpoint.name, Shares()).pick(split)
        deployed = next(model for model in endpoint.deployed_models if model.id == chosen)
        try:
            return self._server(deployed).predict(instances), deployed
        except ModelServerError as error:
            raise invalid(json.dumps({"error": str(error)})) from error

    def _server(self, deployed: types.DeployedModel) -> ModelServer:
        key = (deployed.model, deployed.model_version_id)
        with self._lock:
            if key not in self._servers:
                model = self._registry.find("@".join(key))
                folder = self._folder / f"{last(model.name)}@{model.version_id}"
                download(self._cloud, model.artifact_uri, folder)
                self._servers[key] = ModelServer(self._tfx_python, folder, os.environ)
            return self._servers[key]
