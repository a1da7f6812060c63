"""Storage in a bucket of Google Cloud Storage.

Every object appears whole, by the service's own promise; conditions are generation preconditions. A folder is published
as ``ml.storage.gcs_publication`` tells. Two things lie in buckets that are no objects to us: a name that ends in ``/``,
which consoles make for an empty folder, and a reservation of a publication under way.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ml.errors import ConflictError, NotFoundError, StorageError
from ml.parallel import map_ahead
from ml.storage import ABSENT, ObjectInfo
from ml.storage.gcs_bucket import RESERVED, Bucket
from ml.storage.gcs_publication import Put, publish

_NO_PARTS = {"", ".", ".."}
_LONGEST_NAME = 1024
_ODD = "an object with an empty part, . or .. in its name"
#: The first character that comes after "/" in the order of a listing.
_AFTER_SLASH = chr(ord("/") + 1)
_LISTED = "items(name,size,generation,contentType,crc32c)"


class GcsStorage:
    """A prefix in a bucket as a storage. See :class:`ml.storage.Storage` for what each method promises.

    Requests that a moment may help are repeated for two minutes; only then do methods raise.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket = Bucket(bucket)
        self._above = f"{prefix}/" if prefix else ""

    @property
    def root(self) -> str:
        return self._bucket.uri(self._above).rstrip("/")

    def child(self, prefix: str) -> GcsStorage:
        return GcsStorage(self._bucket.name, self._name(prefix))

    def uri(self, name: str = "") -> str:
        return self._bucket.uri(self._name(name)) if name else self.root

    def list(self, prefix: str = "", *, without: Collection[str] = ()) -> Iterator[ObjectInfo]:
        begin: str | None = None
        for folder in sorted(map(self._folder, without)):
            yield from self._between(prefix, begin, folder)
            begin = f"{folder[:-1]}{_AFTER_SLASH}"
        yield from self._between(prefix, begin, None)

    def _between(self, prefix: str, begin: str | None, end: str | None) -> Iterator[ObjectInfo]:
        for page in self._bucket.pages(self._folder(prefix), fields=_LISTED, begin=begin, end=end):
            for blob in page:
                if not blob.name.endswith("/") and blob.content_type != RESERVED:
                    yield self._info(blob)

    def folders(self, prefix: str = "") -> Sequence[str]:
        folder = self._folder(prefix)
        names: set[str] = set()
        for page in self._bucket.pages(folder, fields="prefixes", delimiter="/"):
            names.update(found[len(folder) : -1] for found in page.prefixes)
        return sorted(names - _NO_PARTS)

    def stat(self, name: str) -> ObjectInfo:
        return self._info(self._bucket.look(self._place(name)))

    def exists(self, name: str) -> bool:
        try:
            self.stat(name)
        except NotFoundError:
            return False
        return True

    def read(self, name: str, *, generation: str | None = None) -> bytes:
        stream = io.BytesIO()
        self._bucket.download(self._name(name), stream, generation=generation)
        return stream.getvalue()

    def open(self, name: str) -> BinaryIO:
        """A local copy, verified, that is gone when it is closed."""
        with contextlib.ExitStack() as ends:
            try:
                stream = ends.enter_context(tempfile.TemporaryFile(prefix="respan-"))
                self._bucket.download(self._name(name), stream)
            except OSError as error:
                why = error.strerror or str(error)
                raise StorageError(
                    f"can't copy {self.uri(name)} to a temporary file: {why}: free space there, or set TMPDIR"
                ) from error
            ends.pop_all()
        return stream

    def write(self, name: str, data: bytes, *, if_generation: str | None = None) -> ObjectInfo:
        return self._info(self._bucket.put(self._name(name), io.BytesIO(data), if_generation=if_generation))

    def upload(self, local: Path, name: str, *, if_generation: str | None = None) -> ObjectInfo:
        return self._info(self._upload(local, self._name(name), if_generation))

    def move(self, source: str, target: str, *, generation: str | None = None) -> ObjectInfo:
        """Copies at the server, verifies, deletes. The copy is marked with its source's name and generation: a repeat
        after a crash between the two knows it and deletes the source."""
        here, there = self._place(source), self._place(target)
        found = self._bucket.look(here)
        if generation is not None and str(found.generation) != generation:
            raise NotFoundError(f"{self._bucket.uri(here)} was replaced since it was listed")
        try:
            mark = f"{found.generation} {here}"
            moved = self._bucket.copy(found, there, if_generation=ABSENT, mark=mark)
        except ConflictError:
            raise ConflictError(
                f"{self._bucket.uri(there)} exists already; {self._bucket.uri(here)} was left in place"
            ) from None
        with contextlib.suppress(NotFoundError, ConflictError):  # another attempt did; a new object is there, and stays
            self._bucket.delete(here, str(found.generation))
        return self._info(moved)

    def delete(self, name: str, *, if_generation: str | None = None) -> None:
        self._bucket.delete(self._place(name), if_generation)

    def delete_tree(self, prefix: str) -> None:
        def delete(name: str) -> None:
            with contextlib.suppress(NotFoundError):  # somebody else deletes it, too
                self._bucket.delete(name)

        pages = self._bucket.pages(self._folder(prefix), fields="items(name)")
        for _ in map_ahead(delete, (blob.name for page in pages for blob in page)):
            pass

    def publish(self, local: Path, prefix: str, *, marker: str) -> None:
        if not (local / marker).is_file():
            raise FileNotFoundError(local / marker)

        def put(file: Path) -> Put:
            return lambda name, generation: self._upload(file, name, generation)

        parts = {file.relative_to(local).as_posix(): put(file) for file in local.rglob("*") if file.is_file()}
        for part in parts:
            self._name(f"{prefix}/{part}")
        publish(self._bucket, self._folder(prefix), marker, parts)

    def publish_stored(self, source: str, prefix: str, *, marker: str) -> None:
        folder = self._folder(source)
        found = {info.name: info.generation for info in self.child(source).list()}
        if marker not in found:
            raise NotFoundError(f"{self._bucket.uri(folder + marker)} is not there")

        def put(part: str) -> Put:
            def copy(name: str, generation: str) -> object:
                there = self._bucket.look(folder + part)
                if str(there.generation) != found[part]:
                    raise NotFoundError(f"{self._bucket.uri(folder + part)} was replaced while it was published")
                return self._bucket.copy(there, name, if_generation=generation)

            return copy

        publish(self._bucket, self._folder(prefix), marker, {part: put(part) for part in found})

    def _upload(self, local: Path, name: str, if_generation: str | None) -> Any:
        try:
            with local.open("rb") as stream:
                return self._bucket.put(name, stream, if_generation=if_generation)
        except OSError as error:
            raise StorageError(f"can't read {local}: {error.strerror or error}") from error

    def _info(self, blob: Any) -> ObjectInfo:
        name = blob.name[len(self._above) :]
        odd = None if _NO_PARTS.isdisjoint(name.split("/")) else _ODD
        return ObjectInfo(name, int(blob.size), str(blob.generation), odd, blob.crc32c)

    def _folder(self, prefix: str) -> str:
        return f"{self._name(prefix)}/" if prefix else self._above

    def _name(self, name: str) -> str:
        """The object's whole name, where it is one that every kind of storage takes."""
        if not _NO_PARTS.isdisjoint(name.split("/")):
            raise NotFoundError(f"{name!r} is not a name below {self.root}")
        return self._place(name)

    def _place(self, name: str) -> str:
        """The object's whole name, also an odd one: what others put there can be looked at, moved and deleted."""
        whole = self._above + name
        try:
            fits = len(whole.encode()) <= _LONGEST_NAME
        except UnicodeEncodeError:
            fits = False
        if not fits or name.endswith("/") or not name or not {"\0", "\r", "\n"}.isdisjoint(name):
            raise NotFoundError(f"{name!r} is not a name below {self.root}")
        return whole
