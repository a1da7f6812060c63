"""What client and warm process say to each other, over one connection for each command.

::

    client                          session
      connects            ◄──  Hello
      Request + 2 files   ──►
                          ◄──  Started       sent before the worker exists
      (closes its side    ──►  kills the worker and all it started)
                          ◄──  Exited

``Started`` divides what surely did not run from what may have: without it, a connection that ended ran no command.
A message is its length (4 bytes, big-endian) and a JSON document.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_LENGTH = struct.Struct("!I")
_PEER = struct.Struct("3i")
_LONGEST_MESSAGE = 16 << 20


@dataclass(frozen=True, slots=True)
class Hello:
    """The warm process is ready. Times are in seconds; ``commands`` counts those that have ended,
    ``running`` the connections, this one not among them."""

    pid: int
    since: float
    preload_seconds: float
    commands: int
    running: int


@dataclass(frozen=True, slots=True)
class Request:
    """Run ``python -m ml *argv``; comes with two open files, the command's standard output and standard error."""

    argv: list[str]
    cwd: str
    environment: dict[str, str]
    umask: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The command was not started, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """From here on the command may have had effects."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The command and everything it started are gone. ``code`` as ``subprocess`` tells it: negative for a signal."""

    code: int


Message = Hello | Request | Refused | Started | Exited
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Hello, Request, Refused, Started, Exited)}


def send(connection: socket.socket, message: Message, files: Sequence[int] = ()) -> None:
    """Sends ``message`` with open files attached. Raises ``OSError`` where the other side is gone."""
    body = json.dumps({"kind": type(message).__name__, **asdict(message)}).encode()
    data = _LENGTH.pack(len(body)) + body
    sent = socket.send_fds(connection, [data], list(files)) if files else 0
    connection.sendall(data[sent:])


def receive(connection: socket.socket) -> tuple[Message, list[int]]:
    """The next message and its open files. Raises ``EOFError`` where the other side ended, else ``OSError``."""
    # The files arrive with the first byte, so they are taken there.
    first, files, _flags, _address = socket.recv_fds(connection, _LENGTH.size, 2)
    try:
        length = _LENGTH.unpack(first + _exactly(connection, _LENGTH.size - len(first)) if first else _raise_ended())[0]
        if length > _LONGEST_MESSAGE:
            raise OSError(f"a message of {length} bytes is not one of ours")
        fields = json.loads(_exactly(connection, length))
        return _KINDS[fields.pop("kind")](**fields), files
    except BaseException:
        for file in files:
            os.close(file)
        raise


def peer_user(connection: socket.socket) -> int:
    """The user id of the process at the other end, told by the kernel."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _pid, user, _group = _PEER.unpack(credentials)
    return int(user)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            _raise_ended()
        data += part
    return data


def _raise_ended() -> bytes:
    raise EOFError("the other side ended")
