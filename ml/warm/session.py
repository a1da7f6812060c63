"""One command's life in the warm process, in a forked process of its own between server and worker.

It ends the worker, and everything that the worker started, when the worker ends, when the client goes away, and when
the server is killed: a half-done command never goes on while its retry runs.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable, Mapping

from ml.warm.lineage import wake_on_signals
from ml.warm.protocol import Exited, Hello, Refused, Request, Started, peer_user, receive, send
from ml.warm.worker import become

# A client sends its request at once. One that was stopped in between must not keep the warm process for ever.
_REQUEST_SECONDS = 60.0


def serve_client(
    client: socket.socket,
    hello: Hello,
    server_alive: int,
    preloaded: Mapping[str, str],
    log: Callable[[str], None],
) -> bool:
    """Greets the client, runs its command if it has one, and tells it the exit code; whether a command was run.

    ``server_alive`` is a pipe's end that reaches its end of file when the server dies. A client that goes away
    is no error.
    """
    if peer_user(client) != os.geteuid():
        log("refused a client of another user")
        return False
    files: list[int] = []
    try:
        send(client, hello)
        client.settimeout(_REQUEST_SECONDS)
        request, files = receive(client)
        client.settimeout(None)
        if not isinstance(request, Request) or len(files) != 2:
            log(f"refused a client that asks for {type(request).__name__} with {len(files)} files")
            return False
        try:
            os.chdir(request.cwd)
        except OSError as error:
            send(client, Refused(f"can't work in {request.cwd}: {error.strerror}"))
            return False
        send(client, Started())
    except (OSError, EOFError):
        return False
    name = " ".join(request.argv)
    with wake_on_signals(signal.SIGCHLD) as children:
        session = os.getpid()
        worker = os.fork()
        if not worker:
            signal.set_wakeup_fd(-1)
            for file in (children.fileno(), client.fileno(), server_alive):
                os.close(file)
            become(request, (files[0], files[1]), preloaded, session)
        for file in files:
            os.close(file)
        why = _wait(worker, client, server_alive, children)
        code = _end(worker)
    with contextlib.suppress(OSError):
        send(client, Exited(code))
    log(f"{name}: exit code {code}{why}")
    return True


def _wait(worker: int, client: socket.socket, server_alive: int, children: socket.socket) -> str:
    """Waits for the worker's end or a reason to end it; that reason."""
    with selectors.DefaultSelector() as selector:
        selector.register(children, selectors.EVENT_READ, "")
        selector.register(client, selectors.EVENT_READ, ", killed: the client went away")
        selector.register(server_alive, selectors.EVENT_READ, ", killed: the warm process died")
        while True:
            ready = {str(key.data) for key, _ in selector.select()}
            if os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return ""
            if reasons := ready - {""}:
                return min(reasons)
            children.recv(4096)


def _end(worker: int) -> int:
    """Kills what is left of the worker and of the processes it started; its exit code."""
    # Before it is reaped: until then nobody else can have its process id, nor its group's.
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(ProcessLookupError):
            kill(worker, signal.SIGKILL)
    _pid, status = os.waitpid(worker, 0)
    return os.waitstatus_to_exitcode(status)
