"""SavedModels in the object store, as the services read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.gcp.services.vertex_resources import failed_precondition, invalid

if TYPE_CHECKING:
    from tests.gcp.cloud import LoopbackCloud

_URI = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220})(?:/(.*))?")
_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")


def split(uri: str, field: str) -> tuple[str, str]:
    """Bucket and object name or prefix. Raises Refusal, naming ``field``."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise invalid(f"Invalid Google Cloud Storage URI in {field}: {uri!r} does not begin with gs://<bucket>")
    return match[1], match[2] or ""


def check_saved_model(cloud: LoopbackCloud, uri: str) -> None:
    """Raises Refusal where the folder ``uri`` holds no SavedModel."""
    bucket, prefix = split(uri, "model.artifact_uri")
    folder = f"{prefix.rstrip('/')}/"
    storage = cloud.storage_client()
    if not any(storage.bucket(bucket).blob(folder + name).exists() for name in _SAVED_MODEL):
        raise failed_precondition(
            f"Model directory {uri} is expected to contain exactly one of: [{', '.join(_SAVED_MODEL)}]."
        )


def download(cloud: LoopbackCloud, uri: str, folder: Path) -> None:
    """Copies what is below ``uri`` into ``folder``."""
    bucket, prefix = split(uri, "model.artifact_uri")
    below = f"{prefix.rstrip('/')}/"
    for blob in cloud.storage_client().list_blobs(bucket, prefix=below):
        relative = blob.name[len(below) :]
        if not relative or relative.endswith("/") or ".." in relative.split("/"):
            continue
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(target))
