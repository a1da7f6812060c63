"""How the death of one process is noticed by another."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, by: signal.Signals = signal.SIGKILL) -> None:
    """This process gets a signal when its parent ends, however that happens; at once if ``parent`` has ended already.

    Linux: prctl(2), PR_SET_PDEATHSIG.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), by)


@contextlib.contextmanager
def wake_on_signals(*signals: signal.Signals) -> Iterator[socket.socket]:
    """A socket that becomes readable when one of ``signals`` arrives; the signals' numbers are read from it.

    For use in a selector. The signals' handlers are reset to the default at the end.
    """
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, lambda _number, _frame: None)
        try:
            yield reader
        finally:
            for number in signals:
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)


def signals_received(reader: socket.socket) -> set[int]:
    """The numbers of the signals that arrived since the last call."""
    received: set[int] = set()
    with contextlib.suppress(BlockingIOError):
        while data := reader.recv(4096):
            received.update(data)
    return received
