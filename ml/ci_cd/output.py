"""What code under test writes, seen at once and kept in part."""

from __future__ import annotations

import os
import re
import selectors
from dataclasses import dataclass, field

_KEPT = 64 * 1024
_SHOWN = 32 * 2**20
_CUT = b"\n... more output is not shown\n"
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def without_control(text: str) -> str:
    """``text`` as it may stand in a message: without what moves a terminal's cursor or colours it. Line ends and tabs
    stay."""
    return _CONTROL.sub("", text)


@dataclass
class Output:
    """The beginning and the end of what was written, at most 64 KiB each."""

    size: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _tail: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._head += data[: _KEPT - len(self._head)]
        self._tail += data
        del self._tail[: max(0, len(self._tail) - _KEPT)]

    @property
    def head(self) -> str:
        """The first lines."""
        return _text(self._head)

    @property
    def tail(self) -> str:
        """The last lines."""
        return _text(self._tail)

    @property
    def ends_a_line(self) -> bool:
        return not self.size or self._tail.endswith(b"\n")

    def last_error(self) -> str | None:
        """The last line that a command of ``ml`` ended with, ``error: …``, without that word; else the last line of
        all."""
        lines = [line.strip() for line in self.tail.splitlines() if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        found = errors or lines
        return found[-1] if found else None


def _text(data: bytes | bytearray) -> str:
    return without_control(data.decode("utf-8", "replace"))


def forward(written: int, result: int, output: int) -> tuple[bytes, Output]:
    """Copies from the pipe ``written`` to ``output`` until the pipe ``result`` is closed; what came from both.

    Only the first 32 MiB reach ``output``, so that a log can't be filled.
    """
    seen, ending = Output(), bytearray()
    os.set_blocking(written, False)
    with selectors.DefaultSelector() as selector:
        selector.register(written, selectors.EVENT_READ)
        selector.register(result, selectors.EVENT_READ)
        while True:
            ready = [key.fd for key, _ in selector.select()]
            if written in ready and not _copy(written, output, seen):
                selector.unregister(written)
            if result in ready:
                if not (data := os.read(result, 65536)):
                    break
                ending += data
    while _copy(written, output, seen):
        pass
    if not seen.ends_a_line:
        _write(output, b"\n")  # what the command says next begins its own line
    return bytes(ending), seen


def _copy(written: int, output: int, seen: Output) -> bool:
    """Copies what there is; whether there may be more."""
    try:
        data = os.read(written, 65536)
    except BlockingIOError:
        return False
    room = _SHOWN - seen.size
    seen.add(data)
    if room > 0:
        _write(output, data if len(data) <= room else data[:room] + _CUT)
    return bool(data)


def _write(output: int, data: bytes) -> None:
    while data:
        data = data[os.write(output, data) :]
