"""``python -m tests.gcp --folder F``: the cloud as a process, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path
from threading import Event

from tests.gcp.cloud import LoopbackCloud
from tests.gcp.services import all_services


def main() -> None:
    """Write ``environment.json`` (mode 600) into the folder once all servers listen; remove it at the end."""
    arguments = argparse.ArgumentParser(prog="python -m tests.gcp", description=__doc__)
    arguments.add_argument(
        "--folder", type=Path, required=True, help="where certificates, logs and environment.json go"
    )
    arguments.add_argument("--project", default="respan-test")
    arguments.add_argument("--region", default="europe-west4")
    arguments.add_argument(
        "--bucket", action="append", help="may be given more than once (default: the project's name)"
    )
    arguments.add_argument("--latency", type=float, default=0.0, help="seconds that every call takes longer")
    arguments.add_argument("--storage-only", action="store_true", help="no services but Cloud Storage")
    given = arguments.parse_args()
    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    cloud = LoopbackCloud(
        given.folder,
        project=given.project,
        region=given.region,
        buckets=given.bucket or [given.project],
        services=[] if given.storage_only else all_services(),
        latency=given.latency,
    )
    with cloud:
        published = _publish(cloud)
        ended.wait()
        published.unlink()


def _publish(cloud: LoopbackCloud) -> Path:
    document = {
        "project": cloud.project,
        "project_number": cloud.project_number,
        "region": cloud.region,
        "buckets": list(cloud.buckets),
        "environment": cloud.environment,
        "workload_environment": cloud.workload_environment,
    }
    published, beside = cloud.folder / "environment.json", cloud.folder / "environment.json.new"
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as sink:
        json.dump(document, sink, indent=2)
    beside.replace(published)
    return published


if __name__ == "__main__":
    main()
