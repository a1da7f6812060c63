"""Object storage behind one small interface: ``file://`` and ``gs://``, with the same promises.

A *storage* is a prefix in a store. Names are relative to it, with ``/`` between parts. Three promises carry the rest of
the system:

* a write is atomic: a reader sees the whole object or none;
* ``if_generation`` makes a write or a delete conditional on what was there, so that two runs can't both succeed;
* a folder published with :meth:`Storage.publish` appears at once, by the appearance of its marker object.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from ml.errors import SettingsError

#: ``if_generation`` of an object that must not exist yet (Cloud Storage's own convention).
ABSENT = "0"

#: A bucket's name as Cloud Storage allows it, and a prefix whose parts are neither empty nor ``.`` or ``..``.
_GCS = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])((?:/(?!\.{1,2}(?:/|$))[^/\0\r\n]+)*)/?")

#: Private-use characters U+EF80…U+EFFF stand for the single bytes 0x80…0xFF of a name that isn't UTF-8.
BYTE_CHARACTERS = 0xEF00


def stands_for_bytes(name: str) -> bool:
    """Whether ``name`` holds bytes that aren't UTF-8 (see :data:`BYTE_CHARACTERS`)."""
    return any(0xEF80 <= ord(character) <= 0xEFFF or 0xD800 <= ord(character) <= 0xDFFF for character in name)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing tells of one object.

    ``name`` is always valid Unicode: bytes that aren't UTF-8 are told by :func:`stands_for_bytes` characters.
    ``generation`` changes whenever the object's content does, also when it is replaced by one of the same size.
    ``irregular`` says what lies there where it is no plain object ("a symbolic link", …): such a thing can be moved and
    deleted, not read. ``crc32c`` is the content's CRC-32C in Cloud Storage's notation (base64 of the big-endian number)
    where the store knows it without reading.
    """

    name: str
    size: int
    generation: str
    irregular: str | None = None
    crc32c: str | None = None


class Storage(Protocol):
    """A prefix in an object store. Methods raise ``NotFoundError`` for an object that isn't there (or is not there with
    the generation asked for), ``ConflictError`` where a precondition fails, and ``StorageError`` where the store itself
    refuses."""

    @property
    def root(self) -> str:
        """The prefix's URI without a trailing slash: ``file:///…`` or ``gs://…``."""

    def child(self, prefix: str) -> Storage:
        """The same store below ``prefix``."""

    def uri(self, name: str = "") -> str:
        """Where TFX and TensorFlow find ``name``: a plain path for ``file://``, else the ``gs://`` URI."""

    def list(self, prefix: str = "", *, without: Collection[str] = ()) -> Iterator[ObjectInfo]:
        """Every object below ``prefix`` (a whole folder, not the beginning of a name), streamed page by page; but for
        those in the folders ``without``, which cost nothing.

        A caller that stops early costs no more than the pages it took. What is written during the listing may be in
        it or not. Files that are still being written by this package are never in it.
        """

    def folders(self, prefix: str = "") -> Sequence[str]:
        """The names of the folders directly below ``prefix``, sorted as text."""

    def stat(self, name: str) -> ObjectInfo: ...

    def exists(self, name: str) -> bool: ...

    def read(self, name: str, *, generation: str | None = None) -> bytes:
        """The whole object; with ``generation``, only what has it from the beginning to the end of the reading."""

    def open(self, name: str) -> BinaryIO:
        """The object for streaming reads; the caller closes it."""

    def write(self, name: str, data: bytes, *, if_generation: str | None = None) -> ObjectInfo:
        """Replaces the object atomically; with ``if_generation`` only what has it (``ABSENT``: nothing is there)."""

    def upload(self, local: Path, name: str, *, if_generation: str | None = None) -> ObjectInfo:
        """:meth:`write` from a local file, streaming."""

    def move(self, source: str, target: str, *, generation: str | None = None) -> ObjectInfo:
        """Moves one object, atomically where the store can, else copy, verify, delete. Never overwrites: a ``target``
        that exists raises ``ConflictError`` and leaves both in place."""

    def delete(self, name: str, *, if_generation: str | None = None) -> None: ...

    def delete_tree(self, prefix: str) -> None:
        """Deletes every object below ``prefix``; no error where there is none."""

    def publish(self, local: Path, prefix: str, *, marker: str) -> None:
        """Makes the local folder's content appear below ``prefix`` at once.

        ``marker`` (a file in ``local``) is what readers look for: nobody may use the folder without it. A published
        folder is never changed: publishing over one raises ``ConflictError``. A repeat after a crash starts anew over
        whatever a half-finished attempt left. ``local`` is left in place.

        Of attempts at the same time exactly one wins, and the folder holds what it published and nothing else. The
        others raise ``ConflictError`` once the winner's marker is there.
        """

    def publish_stored(self, source: str, prefix: str, *, marker: str) -> None:
        """:meth:`publish` of the folder ``source`` of this same storage, which is left in place.

        Raises ``NotFoundError`` where ``source`` has no ``marker``, or changes meanwhile.
        """


def open_storage(uri: str) -> Storage:
    """The storage at ``uri``. Raises ``SettingsError`` for anything but the two forms. Does no I/O."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        from ml.storage.local import LocalStorage

        return LocalStorage(Path(uri.removeprefix("file://")))
    if found := _GCS.fullmatch(uri):
        from ml.storage.gcs import GcsStorage

        return GcsStorage(found[1], (found[2] or "").strip("/"))
    raise SettingsError(f"RESPAN_STORAGE is {uri!r}: give file:///an/absolute/path or gs://bucket/prefix")
