"""Requests for single objects of a bucket, by their whole names: repeated until they are answered, verified, and told
in our errors.

A request with a precondition may be repeated although the first may have been done: the repeat is refused (412), and
the object then bears the mark of the attempt that made it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import mimetypes
import uuid
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar

import google_crc32c

from ml.errors import ConflictError, NotFoundError, StorageError
from ml.storage import ABSENT
from ml.storage.gcs_client import client
from ml.storage.gcs_errors import is_transient, refusal

#: How long a request is repeated, in seconds; the pauses grow from half a second to half a minute.
RETRY_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: Seconds to connect, and without a byte of an answer.
_TIMEOUT = (20.0, 60.0)
#: Larger objects are sent in pieces of this size, each repeated on its own. The library's own limit for one request.
CHUNK = 8 << 20

#: Content type of an object that only holds a name for a publication under way: readers never see it.
RESERVED = "application/x-respan-reserved"
#: Key of the custom metadata that tells which attempt made an object.
ATTEMPT = "respan-attempt"
#: What a copy keeps of its source.
_KEPT = ("content_type", "content_encoding", "content_language", "content_disposition", "cache_control")

T = TypeVar("T")


class Bucket:
    """A bucket of Cloud Storage. Objects are the library's ``Blob``; generations are text, as in ``ml.storage``.

    Methods raise ``NotFoundError`` for an object that isn't there, ``ConflictError`` where a precondition fails, else
    ``StorageError``.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def uri(self, name: str) -> str:
        return f"gs://{self.name}/{name}"

    def pages(
        self,
        prefix: str,
        *,
        fields: str,
        delimiter: str | None = None,
        begin: str | None = None,
        end: str | None = None,
    ) -> Iterator[Any]:
        """The pages of a listing of what begins with ``prefix``, each fetched when it is asked for; of the names from
        ``begin`` on, and before ``end``."""
        with self._told("list", prefix):
            found = client().list_blobs(
                self.name,
                prefix=prefix,
                delimiter=delimiter,
                start_offset=begin,
                end_offset=end,
                fields=f"{fields},nextPageToken",
                retry=_retry(),
                timeout=_TIMEOUT,
            )
            yield from found.pages

    def find(self, name: str) -> Any | None:
        """The object with its properties, reserved or not; None where there is none."""
        try:
            return self._request("look at", name, lambda: self._reloaded(name))
        except NotFoundError:
            return None

    def _reloaded(self, name: str) -> Any:
        blob = self._blob(name)
        blob.reload(retry=None, timeout=_TIMEOUT)
        return blob

    def look(self, name: str) -> Any:
        """The object with its properties."""
        found = self.find(name)
        if found is None or found.content_type == RESERVED:
            raise NotFoundError(f"{self.uri(name)} is not there")
        return found

    def download(self, name: str, stream: BinaryIO, *, generation: str | None = None) -> None:
        """Writes the stored bytes to ``stream``, whatever their encoding, and checks them."""

        def download() -> Any:
            stream.seek(0)
            stream.truncate()
            blob = self._blob(name)
            blob.download_to_file(
                stream,
                raw_download=True,
                checksum="crc32c",
                if_generation_match=None if generation is None else _number(generation),
                retry=_retry(),  # goes on where the connection was lost
                timeout=_TIMEOUT,
            )
            return blob

        try:
            blob = self._request("read", name, download)
        except ConflictError:
            raise NotFoundError(f"{self.uri(name)} was replaced since it was listed") from None
        if blob.content_type == RESERVED:
            raise NotFoundError(f"{self.uri(name)} is not there")
        stream.seek(0)

    def put(self, name: str, source: BinaryIO, *, if_generation: str | None = None, type_: str | None = None) -> Any:
        """Writes the object from ``source``, which is read from its beginning to its end."""
        size, crc32c = _measure(source)
        attempt = uuid.uuid4().hex

        def upload() -> Any:
            source.seek(0)
            blob = self._blob(name, chunk_size=CHUNK)
            blob.metadata = {ATTEMPT: attempt}
            blob.crc32c = (
                crc32c  # the server refuses other bytes; a checksum of what is sent would hide that it differs
            )
            blob.upload_from_file(
                source,
                size=size,
                content_type=type_ or mimetypes.guess_type(name)[0] or "application/octet-stream",
                checksum=None,
                if_generation_match=None if if_generation is None else _number(if_generation),
                retry=_retry() if size > CHUNK else None,
                timeout=_TIMEOUT,
            )
            return blob

        return self._made("write", name, upload, attempt)

    def reserve(self, name: str, if_generation: str) -> str:
        """Puts a reservation in the place of what has ``if_generation``, and returns the reservation's generation."""
        return str(self.put(name, io.BytesIO(), if_generation=if_generation, type_=RESERVED).generation)

    def copy(self, source: Any, target: str, *, if_generation: str, mark: str | None = None) -> Any:
        """Copies an object, as :meth:`look` found it, within the bucket, at the server.

        With ``mark`` a copy that bears it, made by an earlier call from the same source, counts as made by this one.
        Raises ``NotFoundError`` where the source is there no more, or not with its generation.
        """
        attempt = mark or uuid.uuid4().hex

        def rewrite() -> Any:
            blob = self._blob(target)
            for property_ in _KEPT:
                setattr(blob, property_, getattr(source, property_))
            blob.metadata = {**(source.metadata or {}), ATTEMPT: attempt}
            token = None
            while True:
                token, _, _ = blob.rewrite(
                    self._blob(source.name),
                    token=token,
                    if_generation_match=_number(if_generation),
                    if_source_generation_match=int(source.generation),
                    retry=_retry(),
                    timeout=_TIMEOUT,
                )
                if token is None:
                    return blob

        try:
            made = self._made("write", target, rewrite, attempt)
        except (ConflictError, NotFoundError):
            there = self.find(source.name)
            if there is None or there.generation != source.generation:
                raise NotFoundError(f"{self.uri(source.name)} was replaced since it was listed") from None
            raise
        if (made.size, made.crc32c) != (source.size, source.crc32c):
            raise StorageError(
                f"{self.uri(target)} is not what {self.uri(source.name)} is: both were left in place, delete the copy"
            )
        return made

    def delete(self, name: str, generation: str | None = None) -> None:
        repeats: list[BaseException] = []

        def delete() -> None:
            self._blob(name).delete(
                if_generation_match=None if generation is None else _number(generation), retry=None, timeout=_TIMEOUT
            )

        try:
            self._request("delete", name, delete, on_error=repeats.append)
        except NotFoundError:
            if not repeats:  # else the request before was done, though its answer was lost
                raise

    def _made(self, action: str, name: str, make: Callable[[], Any], attempt: str) -> Any:
        """What ``make`` made, also where it did so without our hearing of it and its repeat was refused."""
        try:
            return self._request(action, name, make)
        except ConflictError:
            there = self.find(name)
            if there is None or (there.metadata or {}).get(ATTEMPT) != attempt:
                raise
            return there

    def _blob(self, name: str, chunk_size: int | None = None) -> Any:
        return client().bucket(self.name).blob(name, chunk_size=chunk_size)

    def _request(
        self,
        action: str,
        name: str,
        request: Callable[[], T],
        on_error: Callable[[BaseException], object] | None = None,
    ) -> T:
        with self._told(action, name):
            result: T = _retry(on_error)(request)()
            return result

    @contextlib.contextmanager
    def _told(self, action: str, name: str) -> Iterator[None]:
        """Turns what the library raises into our errors."""
        import requests
        import urllib3
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from google.resumable_media import DataCorruption

        try:
            yield
        except (
            GoogleAPIError,
            GoogleAuthError,
            DataCorruption,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            ConnectionError,
        ) as error:
            raise refusal(error, action, self.uri(name)) from error


def _retry(on_error: Callable[[BaseException], object] | None = None) -> Any:
    from google.api_core.retry import Retry

    return Retry(
        predicate=is_transient,
        initial=_FIRST_PAUSE,
        maximum=_LONGEST_PAUSE,
        timeout=RETRY_SECONDS,
        on_error=on_error,
    )


def _number(generation: str) -> int:
    """The generation as the service takes it. One of another kind of storage is one that no object ever has: 1."""
    return int(generation) if generation == ABSENT or (generation.isascii() and generation.isdecimal()) else 1


def _measure(stream: BinaryIO) -> tuple[int, str]:
    """Size and CRC-32C (in Cloud Storage's notation) of all that is in the stream."""
    stream.seek(0)
    checksum = size = 0
    while data := stream.read(1 << 20):
        checksum = google_crc32c.extend(checksum, data)
        size += len(data)
    return size, base64.b64encode(checksum.to_bytes(4, "big")).decode()
