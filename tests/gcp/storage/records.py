"""The metadata of objects as Cloud Storage shows it, and the locks under which it changes."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import Any
from urllib.parse import quote

from tests.gcp.storage.http import StorageError
from tests.gcp.storage.upstream import Upstream, expect, object_path

_Key = tuple[str, str, str]


class Records:
    """What fake-gcs-server knows, put right. Thread-safe."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._locks = [RLock() for _ in range(257)]
        self._metagenerations: dict[_Key, int] = {}
        self._components: dict[_Key, int] = {}

    @contextmanager
    def locked(self, *objects: tuple[str, str]) -> Iterator[None]:
        """Hold the locks of ``objects`` (bucket, name)."""
        with ExitStack() as held:
            for index in sorted({hash(one) % len(self._locks) for one in objects}):
                held.enter_context(self._locks[index])
            yield

    def current(self, bucket: str, name: str) -> dict[str, Any] | None:
        """The live object's metadata; None: there is none, or no such bucket."""
        status, document = self._upstream.document("GET", object_path(bucket, name))
        if status == 404:
            return None
        expect(status, document, bucket)
        return self._complete(document)

    def require(self, bucket: str, name: str, generation: str | None = None) -> dict[str, Any]:
        """The live object, which must be of ``generation`` if that is given. Raises StorageError, 404."""
        found = self.current(bucket, name)
        if found is None or (generation and found["generation"] != generation):
            raise StorageError(404, "notFound", f"No such object: {bucket}/{name}{f'#{generation}' * bool(generation)}")
        return found

    def changed(self, record: Mapping[str, Any]) -> None:
        """The metadata of this object was changed."""
        key = _key(record)
        self._metagenerations[key] = self._metagenerations.get(key, 1) + 1

    def composed(self, record: Mapping[str, Any], components: int) -> None:
        """This object is made of others: it has no MD5 any more."""
        self._components[_key(record)] = components

    def is_composed(self, record: Mapping[str, Any]) -> int:
        """Of how many components an object is made; 0: it was uploaded whole."""
        return self._components.get(_key(record), 0)

    def _complete(self, record: dict[str, Any]) -> dict[str, Any]:
        record = {name: value for name, value in record.items() if name != "acl"}
        metageneration = self._metagenerations.get(_key(record), 1)
        etag = base64.b64encode(f"{record['generation']}/{metageneration}".encode()).decode()
        components = self.is_composed(record)
        if components:
            record = {name: value for name, value in record.items() if name != "md5Hash"}
            record["componentCount"] = components
        identity = f"{record['bucket']}/{record['name']}/{record['generation']}"
        return record | {"metageneration": str(metageneration), "etag": etag, "id": identity}

    def shown(self, record: Mapping[str, Any], base: str) -> dict[str, Any]:
        """``record`` with links for a client that calls us ``base``."""
        path = f"/b/{quote(record['bucket'], safe='')}/o/{quote(record['name'], safe='')}"
        return {
            **record,
            "selfLink": f"{base}/storage/v1{path}",
            "mediaLink": f"{base}/download/storage/v1{path}?generation={record['generation']}&alt=media",
        }

    def listed(self, document: dict[str, Any], base: str) -> dict[str, Any]:
        """An object in a listing."""
        return self.shown(self._complete(document), base)


def _key(record: Mapping[str, Any]) -> _Key:
    return record["bucket"], record["name"], record["generation"]
