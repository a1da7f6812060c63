"""Where this deployment keeps its state, and where pipelines are found; from the environment alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ml.errors import NotFoundError
from ml.names import check_pipeline_name
from ml.storage import Storage, open_storage

PROJECT = Path(__file__).resolve().parent.parent

#: The database server of ML Metadata on the local target, ``postgresql://user:password@host:port/database``.
METADATA_VARIABLE = "RESPAN_METADATA"


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """``RESPAN_HOME``: all run-time state that is not in the storage root. Default: ``var`` in the project."""
    return Path(environment.get("RESPAN_HOME") or PROJECT / "var").absolute()


def storage_root() -> str:
    """``RESPAN_STORAGE``: the storage root's URI. Default: ``storage`` in :func:`home`."""
    return (os.environ.get("RESPAN_STORAGE") or f"file://{home() / 'storage'}").rstrip("/")


def pipeline_storage(pipeline: str) -> Storage:
    """The storage of one pipeline, ``<root>/<pipeline>/``."""
    return open_storage(storage_root()).child(check_pipeline_name(pipeline))


def metadata_file(pipeline: str) -> Path:
    """The SQLite file of the pipeline's ML Metadata store on the local target, where no server is named."""
    return home() / "metadata" / f"{check_pipeline_name(pipeline)}.sqlite"


def pipelines_folders() -> list[Path]:
    """Folders searched for pipelines, first match first: ``RESPAN_PIPELINES`` (separated by ``:``), then
    ``ml/pipelines``."""
    named = [Path(p).absolute() for p in os.environ.get("RESPAN_PIPELINES", "").split(os.pathsep) if p]
    return [*named, PROJECT / "ml" / "pipelines"]


@contextlib.contextmanager
def pipelines_in_front(folder: Path) -> Iterator[None]:
    """Meanwhile the pipelines in ``folder`` are found first: by this process, and by those that it starts."""
    before = os.environ.get("RESPAN_PIPELINES")
    os.environ["RESPAN_PIPELINES"] = os.pathsep.join(filter(None, (str(folder), before)))
    try:
        yield
    finally:
        if before is None:
            del os.environ["RESPAN_PIPELINES"]
        else:
            os.environ["RESPAN_PIPELINES"] = before


def pipeline_names() -> list[str]:
    """Every pipeline that can be found, sorted: the folders that hold a ``settings.yaml``."""
    return sorted({file.parent.name for folder in pipelines_folders() for file in folder.glob("*/settings.yaml")})


def pipeline_folder(pipeline: str) -> Path:
    """The folder of ``pipeline``. Raises ``NotFoundError`` where there is none."""
    check_pipeline_name(pipeline)
    for folder in pipelines_folders():
        if (folder / pipeline / "settings.yaml").is_file():
            return folder / pipeline
    known = ", ".join(pipeline_names()) or "none"
    raise NotFoundError(f"there is no pipeline {pipeline!r}; found: {known}")
