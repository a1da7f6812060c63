"""What holds for every test: no network but this machine's own, and never the state of a real RESPAN_HOME."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent

#: Where clients that know of proxies are sent: nothing listens there. It holds for processes that tests start, too.
NOWHERE = "http://127.0.0.1:9"


class NetworkBlockedError(OSError):
    """A test tried to reach another machine."""


def is_loopback(address: Any) -> bool:
    """Whether a socket's ``address`` is on this machine: a path, or a loopback host."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0]).split("%")[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def only_this_machine() -> Iterator[None]:
    """Every connection to another machine fails, at once and by name."""

    def guarded(real: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address):
                raise NetworkBlockedError(f"a test may not connect to {address}")
            return real(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, NOWHERE)
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "localhost,127.0.0.1,::1")
        yield


@pytest.fixture(scope="session", autouse=True)
def no_real_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """RESPAN_HOME is a folder of this session; TFX's interpreter stays the one that ``make setup`` made."""
    real = Path(os.environ.get("RESPAN_HOME") or PROJECT / "var").absolute()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESPAN_HOME", str(tmp_path_factory.mktemp("respan-home")))
        patch.delenv("RESPAN_STORAGE", raising=False)
        patch.delenv("RESPAN_PIPELINES", raising=False)
        if not os.environ.get("RESPAN_TFX_PYTHON"):
            patch.setenv("RESPAN_TFX_PYTHON", str(real / "envs" / "tfx" / "bin" / "python"))
        yield


@pytest.fixture
def respan_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty RESPAN_HOME of this test alone, with the storage root in it."""
    home = tmp_path / "respan"
    home.mkdir()
    monkeypatch.setenv("RESPAN_HOME", str(home))
    monkeypatch.delenv("RESPAN_STORAGE", raising=False)
    return home
