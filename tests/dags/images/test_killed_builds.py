"""Builds that are killed: nothing of them works on, and a retry comes to the same image."""

from __future__ import annotations

import os
import platform
import signal
import struct
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from respan.images.credentials import RegistryLogin
from respan.images.errors import ImageError, ImageServiceError

from tests.dags.images.builds import SECOND, Builder, a_request
from tests.dags.images.conftest import LOGIN, each_engine
from tests.dags.images.engines_at_hand import NAMES, EngineAtHand
from tests.dags.images.registry import Registry

pytestmark = pytest.mark.usefixtures("respan_home")

#: docker's steps are children of its daemon: it has to end them when its client goes.
without_daemon = pytest.mark.parametrize(
    "engine", each_engine([name for name in NAMES if name != "docker"]), indirect=True
)


def waiting_program() -> bytes:
    """An executable that needs no library and waits for ever: ``for (;;) pause();``."""
    code = b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7"
    size = 64 + 56 + len(code)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x1000) + code


@pytest.fixture
def waiter(context: Path) -> str:
    """The name of a program that a step of the Dockerfile runs, and that never ends."""
    if platform.machine() != "x86_64":
        pytest.skip("the program is made for x86_64")
    name = f"wait-{uuid.uuid4().hex}"
    (context / name).write_bytes(waiting_program())
    (context / name).chmod(0o755)
    (context / "Dockerfile").write_text(f'FROM scratch\nCOPY . /app\nRUN ["/app/{name}"]\n')
    return name


def running(name: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            argv = process.cmdline()
        except psutil.Error:
            continue
        if argv and argv[0].endswith(name):
            found.append(process)
    return found


def until(condition: Callable[[], object]) -> None:
    for _ in range(3_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to pass")


@without_daemon
def test_killing_the_task_kills_what_the_build_runs_and_removes_its_containers(
    engine: EngineAtHand, context: Path, waiter: str
) -> None:
    builder = Builder(engine)

    def kill() -> None:
        until(lambda: running(waiter))
        assert builder.process is not None
        builder.process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ImageServiceError, match="killed"):
        builder.build(a_request("localhost/respan", context, push=False))
    killer.join()
    assert running(waiter) == []
    assert engine.containers() == set()


@without_daemon
def test_kill_9_of_the_task_kills_what_the_build_runs_and_removes_its_containers(
    engine: EngineAtHand, context: Path, waiter: str
) -> None:
    task = os.fork()
    if task == 0:
        Builder(engine).build(a_request("localhost/respan", context, push=False))
        os._exit(0)
    until(lambda: running(waiter))
    os.kill(task, signal.SIGKILL)
    os.waitpid(task, 0)
    until(lambda: not running(waiter))
    until(lambda: not engine.containers())


@without_daemon
def test_kill_9_of_the_engine_kills_what_the_build_runs_and_removes_its_containers(
    engine: EngineAtHand, context: Path, waiter: str
) -> None:
    """As the kernel does where memory runs out."""

    def kill() -> None:
        until(lambda: running(waiter))
        for guard in psutil.Process().children():
            for program in guard.children():
                program.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ImageServiceError, match="was killed"):
        Builder(engine).build(a_request("localhost/respan", context, push=False))
    killer.join()
    assert running(waiter) == []
    assert engine.containers() == set()


@without_daemon
def test_a_build_that_takes_too_long_is_ended_and_told(engine: EngineAtHand, context: Path, waiter: str) -> None:
    with pytest.raises(ImageError, match=r"longer than ci_cd\.image\.timeout_seconds = 4"):
        Builder(engine).build(a_request("localhost/respan", context, push=False, timeout_seconds=4))
    assert running(waiter) == []
    assert engine.containers() == set()


@pytest.mark.parametrize("moment", ["blobs", "manifests"])
def test_after_kill_9_within_the_push_a_retry_pushes_the_image_that_was_built(
    engine: EngineAtHand, registry: Registry, context: Path, moment: str
) -> None:
    request = a_request(f"{registry.address}/respan", context)
    login = RegistryLogin(registry.address, *LOGIN)
    registry.hold(f"/{moment}/")
    task = os.fork()
    if task == 0:
        Builder(engine, login).build(request)
        os._exit(0)
    assert registry.held.wait(60)
    os.kill(task, signal.SIGKILL)
    os.waitpid(task, 0)
    registry.release()

    retry = Builder(engine, login)
    built = retry.build(request)
    assert retry.builds == 0
    assert built["image"] == f"{registry.address}/respan@{registry.tags_of('respan')[request.revision]}"
    assert len(engine.images(request.content)) == 1


def test_tasks_that_want_the_same_image_build_it_once(engine: EngineAtHand, registry: Registry, context: Path) -> None:
    builders = [Builder(engine, RegistryLogin(registry.address, *LOGIN)) for _ in range(2)]
    requests = [a_request(f"{registry.address}/respan", context, **more) for more in ({}, {"revision": SECOND})]
    threads = [threading.Thread(target=b.build, args=(r,)) for b, r in zip(builders, requests, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(builder.builds for builder in builders) == 1
    tags = registry.tags_of("respan")
    assert len(tags) == 3
    assert len(set(tags.values())) == 1
