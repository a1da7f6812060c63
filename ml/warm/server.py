"""The warm process itself: imports, listens, forks. Single-threaded, since it forks."""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ml.errors import ConflictError
from ml.warm.address import Address
from ml.warm.lineage import signals_received, wake_on_signals
from ml.warm.preload import preload
from ml.warm.protocol import Hello
from ml.warm.session import serve_client

# How often it looks whether it can still be found.
_LOOK_SECONDS = 10.0
_LOCK_SECONDS = 5.0


class Server:
    """A warm process that listens at an address; :meth:`run` serves until it is told to stop, is idle, or has been
    superseded.

    Created, it listens already: clients may connect and wait while it imports. Raises ``ConflictError`` where another
    process listens there, ``StorageError`` where the folder can't be used.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        address.prepare()
        self._lock = _hold(address)
        self._listener = address.listen()
        self._place = address.socket_file.stat()
        self._environment = dict(os.environ)
        self._children: set[int] = set()
        self._commands = 0
        self._alive, self._alive_end = os.pipe()

    def detach(self) -> bool:
        """Goes on in a background process. True in that process, False in this one, which must exit."""
        if os.fork():
            return False
        os.setsid()
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()).encode())
        self._lock.flush()
        return True

    def run(self, idle_seconds: float, log: Callable[[str], None]) -> None:
        """Imports, then serves clients; returns when the last command under way has ended."""
        log(f"warm process for {sys.prefix} starts")
        seconds = preload(log)
        log(f"ready after {seconds:.1f} s with {len(sys.modules)} modules and {threading.active_count()} thread(s)")
        gc.collect()
        gc.freeze()  # a collection in a child would touch, and so copy, all that is shared
        since, used = time.time(), time.monotonic()
        with (
            wake_on_signals(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT) as signals,
            selectors.DefaultSelector() as selector,
        ):
            self._listener.setblocking(False)
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(signals, selectors.EVENT_READ)
            while True:
                selector.select(min(_LOOK_SECONDS, idle_seconds))
                stop = signals_received(signals) & {signal.SIGTERM, signal.SIGINT}
                self._accept(since, seconds, log)
                if self._reap():
                    used = time.monotonic()
                if stop:
                    reason = "stopped"
                elif not self._found():
                    reason = "superseded"
                elif not self._children and time.monotonic() - used >= idle_seconds:
                    reason = f"idle for {idle_seconds:.0f} s"
                else:
                    continue
                break
            selector.unregister(self._listener)
            self._leave()
            self._accept(since, seconds, log)  # who connected before the socket vanished is still served
            self._listener.close()
            self._lock.close()
            log(f"{reason}: takes no more commands, {len(self._children)} under way")
            while self._children:
                selector.select()
                signals_received(signals)
                self._reap()
        log(f"ends after {self._commands} commands")

    def _accept(self, since: float, seconds: float, log: Callable[[str], None]) -> None:
        """Forks a session for each client that waits."""
        while True:
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            with client:
                hello = Hello(os.getpid(), since, seconds, self._commands, len(self._children))
                try:
                    child = os.fork()
                except OSError as error:
                    log(f"can't fork: {error}")  # the client is told by the end of its connection
                    continue
                if not child:
                    self._be_session(client, hello, log)
                self._children.add(child)

    def _be_session(self, client: socket.socket, hello: Hello, log: Callable[[str], None]) -> None:
        """In the forked child; never returns."""
        ran = False
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            os.close(self._alive_end)
            self._listener.close()
            self._lock.close()
            client.setblocking(True)
            preloaded = {k: v for k, v in os.environ.items() if self._environment.get(k) != v}
            ran = serve_client(client, hello, self._alive, preloaded, log)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0 if ran else 1)

    def _reap(self) -> bool:
        """Takes leave of the sessions that have ended; whether one of them ran a command (rather than asked for the
        status)."""
        ran = 0
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._children.discard(ended[0])
                ran += ended[1] == 0
        self._commands += ran
        return ran > 0

    def _found(self) -> bool:
        """Whether clients still look for a warm process at this address, and find this one there."""
        with contextlib.suppress(OSError):
            here = Address.of(Path(sys.executable), self._environment)
            return here.name == self._address.name and os.path.samestat(here.socket_file.stat(), self._place)
        return False

    def _leave(self) -> None:
        """Removes the socket, if it is still this process's own."""
        with contextlib.suppress(OSError):
            if os.path.samestat(self._address.socket_file.stat(), self._place):
                self._address.socket_file.unlink()


def _hold(address: Address) -> BinaryIO:
    # One that is just ending holds the lock a moment longer.
    deadline = time.monotonic() + _LOCK_SECONDS
    while (lock := address.hold()) is None:
        if time.monotonic() > deadline:
            raise ConflictError(
                f"process {address.holder()} is the warm process here: `python -m ml warm stop` ends it"
            )
        time.sleep(0.05)
    return lock
