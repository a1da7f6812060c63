"""The services that keep and serve models, made to know each other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.gcp.service import Service
from tests.gcp.services.batch_prediction import BatchPrediction
from tests.gcp.services.endpoints import Endpoints
from tests.gcp.services.endpoints_prediction import OnlinePrediction
from tests.gcp.services.model_registry import ModelRegistry


@dataclass(frozen=True)
class Serving:
    """Model registry, endpoints, online and batch prediction of one cloud."""

    registry: ModelRegistry
    endpoints: Endpoints
    online: OnlinePrediction
    batch: BatchPrediction

    @property
    def services(self) -> list[Service]:
        return [self.registry, self.endpoints, self.online, self.batch]


def serving(tfx_python: Path | None = None) -> Serving:
    """New ones, with no state. ``tfx_python`` serves the models; None: what RESPAN_TFX_PYTHON names."""
    python = tfx_python or Path(os.environ.get("RESPAN_TFX_PYTHON") or _PROJECT / "var/envs/tfx/bin/python")
    registry = ModelRegistry()
    endpoints = Endpoints(registry)
    return Serving(
        registry, endpoints, OnlinePrediction(registry, endpoints, python), BatchPrediction(registry, python)
    )


_PROJECT = Path(__file__).resolve().parents[3]
