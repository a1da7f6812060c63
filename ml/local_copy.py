"""Folders of storage for programs that know files only."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ml.errors import DataError, NotFoundError
from ml.parallel import map_ahead
from ml.storage import Storage
from ml.temporary import temporary_folder

_CLOUD = "gs://"


@contextlib.contextmanager
def local_folder(storage: Storage, uri: str) -> Iterator[Path]:
    """The folder at ``uri`` (as :meth:`~ml.storage.Storage.uri` tells places) on this machine.

    A local folder is itself. One in Cloud Storage is copied, each file verified, and the copy gone afterwards; it ends
    in the same path as below the storage's root. Raises ``DataError`` for one that isn't in ``storage``, and
    ``NotFoundError`` where it is empty.
    """
    if not uri.startswith(_CLOUD):
        yield Path(uri)
        return
    name = stored_name(storage, uri)
    with temporary_folder() as root:
        fetched = sum(1 for _ in map_ahead(lambda file: _fetch(storage, file, root), _names(storage, name)))
        if not fetched:
            raise NotFoundError(f"there is nothing in {uri}")
        yield root / name


def stored_name(storage: Storage, uri: str) -> str:
    """The name in ``storage`` of what is at ``uri``. Raises ``DataError`` for a place outside of it."""
    root = storage.uri()
    name = uri.removeprefix(f"{root}/").rstrip("/")
    if name == uri.rstrip("/") or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise DataError(f"{uri} is not in this pipeline's storage, {root}")
    return name


def _names(storage: Storage, folder: str) -> Iterator[str]:
    return (info.name for info in storage.list(folder))


def _fetch(storage: Storage, name: str, root: Path) -> None:
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with storage.open(name) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
