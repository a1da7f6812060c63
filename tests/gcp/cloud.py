"""All of it together: ``with LoopbackCloud(folder) as cloud: …``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tests.gcp.calls import Calls
from tests.gcp.certificates import make_certificates
from tests.gcp.faults import Faults
from tests.gcp.front import https_front, internal_front
from tests.gcp.identity import Identity
from tests.gcp.metadata_server import metadata_server
from tests.gcp.object_store import make_bucket, object_store
from tests.gcp.operations import Operations
from tests.gcp.permissions import Permissions
from tests.gcp.proxy import Proxy, proxying
from tests.gcp.server import grpc_server
from tests.gcp.service import Service
from tests.gcp.storage.objects import Objects

if TYPE_CHECKING:
    from google.cloud.storage import Client

_HTTPS_HOSTS = (
    "storage.googleapis.com",
    "www.googleapis.com",
    "oauth2.googleapis.com",
    "accounts.google.com",
    "iamcredentials.googleapis.com",
)
_GRPC_APIS = ("aiplatform.googleapis.com", "cloudbuild.googleapis.com")


class LoopbackCloud:
    """A Google Cloud of one project and one region, on 127.0.0.1 and below ``folder``, empty at its start.

    ``environment``: variables for a process of the project's own (Airflow's), which gets a service account's key in its
    connection ``google_cloud_default``; ``workload_environment``: for what stands for a container on Vertex AI, which
    gets its tokens from the metadata server. ``latency``: seconds that every call takes longer.

    The servers run in threads of this process, the object store in a process of its own; all have ended after the
    block. ``services`` are attached when it begins, and detached when it ends.
    """

    def __init__(
        self,
        folder: Path,
        *,
        project: str = "respan-test",
        region: str = "europe-west4",
        buckets: Sequence[str] = ("respan-test",),
        services: Sequence[Service] = (),
        latency: float = 0.0,
    ) -> None:
        self.folder, self.project, self.region, self.latency = folder, project, region, latency
        self.project_number = "415104041262"
        self.buckets = tuple(buckets)
        self.bucket = self.buckets[0] if buckets else ""
        self.faults, self.calls, self.permissions = Faults(), Calls(), Permissions()
        self.operations = Operations()
        self.identity = Identity(project)
        self.airflow_key = self.identity.add("respan-airflow")
        self.airflow_principal = self.airflow_key["client_email"]
        self.workload_principal = self.identity.add("respan-vertex")["client_email"]
        self.proxy = Proxy(self._port)
        self.environment: dict[str, str] = {}
        self.workload_environment: dict[str, str] = {}
        self._services: list[Service] = [self.operations, *services]
        self._grpc_port = self._https_port = 0
        self._storage_url = ""
        self._ends = ExitStack()

    @property
    def refused_hosts(self) -> list[str]:
        """The hosts that a client asked for and that are no part of this cloud, in order."""
        return list(self.proxy.refused_hosts)

    def storage_client(self) -> Client:
        """A client of the object store for doubles and tests: no proxy, token, fault, latency or note of its calls."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client
        from requests import Session

        session = Session()
        session.trust_env = False
        return Client(
            project=self.project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self._storage_url},
            _http=session,
        )

    def __enter__(self) -> LoopbackCloud:
        with ExitStack() as ends:
            self.folder.mkdir(parents=True, exist_ok=True)
            certificates = make_certificates(self.folder / "certificates")
            store = ends.enter_context(object_store(self.folder))
            for bucket in self.buckets:
                make_bucket(store, self.project, bucket)
            objects = ends.enter_context(Objects(store, self))
            self._https_port = ends.enter_context(https_front(self, objects, certificates))
            self._storage_url = f"http://127.0.0.1:{ends.enter_context(internal_front(self, objects))}"
            metadata_port = ends.enter_context(metadata_server(self))
            self._grpc_port = ends.enter_context(grpc_server(self, self._services, certificates))
            proxy_port = ends.enter_context(proxying(self.proxy))
            self._make_environments(certificates.authority, proxy_port, metadata_port)
            for service in self._services:
                service.attach(self)
                ends.callback(service.detach)
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def _port(self, host: str) -> int | None:
        if host in _HTTPS_HOSTS or host.endswith(".storage.googleapis.com"):
            return self._https_port
        if any(host == api or host.endswith(f"-{api}") for api in _GRPC_APIS):
            return self._grpc_port
        return None

    def _make_environments(self, authority: Path, proxy_port: int, metadata_port: int) -> None:
        nowhere = self.folder / "no-gcloud"
        nowhere.mkdir(exist_ok=True)
        address = f"http://127.0.0.1:{proxy_port}"
        proxies = dict.fromkeys(
            ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "grpc_proxy"), address
        ) | dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
        trust = dict.fromkeys(
            (
                "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
                "REQUESTS_CA_BUNDLE",
                "SSL_CERT_FILE",
                "CURL_CA_BUNDLE",
                "HTTPLIB2_CA_CERTS",
            ),
            str(authority.absolute()),
        )
        # No credential of the machine's user may take part.
        account = {"CLOUDSDK_CONFIG": str(nowhere.absolute()), "GOOGLE_CLOUD_PROJECT": self.project}
        common = proxies | trust | account
        extra: dict[str, Any] = {"project": self.project, "keyfile_dict": self.airflow_key}
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        self.environment = common | {
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection),
            "NO_GCE_CHECK": "true",
        }
        metadata = f"127.0.0.1:{metadata_port}"
        self.workload_environment = common | {
            "GCE_METADATA_HOST": metadata,
            "GCE_METADATA_IP": metadata,
            "GCE_METADATA_ROOT": metadata,
            "CLOUD_ML_PROJECT_ID": self.project_number,
            "CLOUD_ML_REGION": self.region,
        }
