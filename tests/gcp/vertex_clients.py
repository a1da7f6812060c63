"""Google's clients of one cloud, for tests with several in a process: the environment holds for one only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

from tests.gcp.cloud import LoopbackCloud


def client(cloud: LoopbackCloud, kind: type, host: str = "") -> Any:
    """A client of type ``kind``, as the principal of Airflow. ``host``: empty stands for Vertex AI's of the region."""
    roots = Path(cloud.environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]).read_bytes()
    channel = grpc.secure_channel(
        f"{host or f'{cloud.region}-aiplatform.googleapis.com'}:443",
        grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(roots),
            grpc.access_token_call_credentials(cloud.identity.issue(cloud.airflow_principal)),
        ),
        [("grpc.http_proxy", cloud.environment["grpc_proxy"])],
    )
    transport = kind.get_transport_class("grpc")  # type: ignore[attr-defined]
    return kind(transport=transport(channel=channel))
