"""The engines that the tests try: the double everywhere, and each real one that can build on this machine.

A real one gets a store of its own, below the test's folder, and is told by variables and configuration files how to
work without privileges that a test machine may lack: no isolation by namespaces, no overlay file system.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from respan.images.process import engine_environment

DOUBLE = "double"
NAMES = (DOUBLE, "podman", "buildah", "docker")


@dataclass(frozen=True)
class EngineAtHand:
    """An engine that works. ``builder`` is the setting for it, ``environment`` what it is run with."""

    name: str
    builder: str
    environment: Mapping[str, str]

    def images(self, content: str) -> set[str]:
        """Ids of the images in its store with this content's label."""
        asked = [self.builder, "images", "--quiet", "--filter", f"label=respan.content={content}"]
        done = subprocess.run(asked, env=self.environment, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    def containers(self) -> set[str]:
        """Ids of the containers in its store, also of those that a build works in; not for docker."""
        asked = {"podman": ["podman", "ps", "--all", "--external"], "buildah": ["buildah", "containers", "--all"]}
        done = subprocess.run(
            [*asked[self.builder], "--quiet"], env=self.environment, capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())


@contextlib.contextmanager
def engine_at_hand(name: str, folder: Path, registries: list[str]) -> Iterator[EngineAtHand]:
    """The engine called ``name``, which takes ``registries`` without TLS; its state is in ``folder``."""
    if name == DOUBLE:
        yield EngineAtHand(name, "podman", _environment_of_double(folder))
        return
    environment = {**engine_environment(os.environ), **_containers_configuration(folder, registries)}
    if name != "docker" or _builds(name, environment, folder):
        yield EngineAtHand(name, name, environment)
        return
    with _podmans_daemon(folder, environment) as socket:
        yield EngineAtHand(name, name, {**environment, "DOCKER_HOST": f"unix://{socket}"})


@cache
def why_not(name: str) -> str | None:
    """Why this engine can't be tried here; None if it can: it was seen to build an image."""
    if name == DOUBLE:
        return None
    if shutil.which(name) is None:
        return f"there is no {name} on PATH"
    with tempfile.TemporaryDirectory(prefix="respan-engine-") as folder:
        try:
            with engine_at_hand(name, Path(folder), []) as engine:
                return None if _builds(name, engine.environment, Path(folder)) else f"{name} can't build here"
        except RuntimeError as error:
            return str(error)


def _builds(program: str, environment: Mapping[str, str], folder: Path) -> bool:
    context = folder / "probe"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    asked = [program, "build", "--tag", "localhost/respan-probe:1", str(context)]
    return subprocess.run(asked, env=environment, capture_output=True, check=False).returncode == 0


def _environment_of_double(folder: Path) -> dict[str, str]:
    program = folder / "bin" / "podman"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!{sys.executable}\n{Path(__file__).with_name('engine_double.py').read_text()}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    environment = engine_environment(os.environ)
    return {**environment, "PATH": os.pathsep.join((str(program.parent), environment["PATH"]))}


def _containers_configuration(folder: Path, registries: list[str]) -> dict[str, str]:
    """See containers.conf(5), containers-storage.conf(5) and containers-registries.conf(5)."""
    runtime = next(
        (name for name in ("crun", "runc") if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")), ""
    )
    contents = {
        "containers.conf": f'[engine]\nruntime = "{runtime}"\n',
        "storage.conf": f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n',
        "registries.conf": "".join(f'[[registry]]\nlocation = "{name}"\ninsecure = true\n' for name in registries),
    }
    for file, content in contents.items():
        (folder / file).write_text(content)
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
        "TMPDIR": str(temporary),
    }


@contextlib.contextmanager
def _podmans_daemon(folder: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """docker's command line speaks with podman as well, where docker's own daemon does not run."""
    if shutil.which("podman") is None:
        raise RuntimeError("docker reaches no daemon, and there is no podman to be one")
    socket = folder / "docker.sock"
    asked = ["podman", "system", "service", "--time", "0", f"unix://{socket}"]
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(asked, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while not socket.exists():
                if daemon.poll() is not None:
                    raise RuntimeError(f"podman's service doesn't start: {(folder / 'daemon.log').read_text()[-300:]}")
                time.sleep(0.01)
            yield socket
        finally:
            daemon.terminate()
            daemon.wait()
