"""The working containers of a build by podman or buildah that was killed.

Both keep a container for each stage in their store until the build ends, and nothing removes those of a build that is
killed. A build carries a mark, in the shape of a secret that no step mounts: the engine records its options with each
container before the first step, and the mark is neither in the image nor part of the key in the cache of layers.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

# A removal that waits for a broken disk must not keep the task.
_SECONDS = 30.0
_GRAPH_ROOT = {"podman": "{{.Store.GraphRoot}}", "buildah": "{{.store.GraphRoot}}"}
_REMOVE = {"podman": ("rm", "--force"), "buildah": ("rm",)}


def new_mark() -> str:
    """A name for one build."""
    return f"respan-build-{uuid.uuid4().hex}"


def marking_options(mark: str) -> list[str]:
    """The options of ``podman build`` and ``buildah build`` that make its containers carry ``mark``."""
    return ["--secret", f"id={mark},src=/dev/null"]


def marked_containers(graph_root: Path, mark: str) -> list[str]:
    """The ids of the containers in the store ``graph_root`` that carry ``mark``, sorted.

    The layout is that of containers/storage, ``<driver>-containers/<id>/userdata``, and of buildah's state in it. A
    container without such a state, or one that is removed meanwhile, is left out.
    """
    found = []
    for state in graph_root.glob("*-containers/*/userdata/buildah.json"):
        with contextlib.suppress(OSError, ValueError):
            if _carries(json.loads(state.read_bytes()), mark):
                found.append(state.parent.parent.name)
    return sorted(found)


def _carries(state: object, mark: str) -> bool:
    options = state.get("CommonBuildOpts") if isinstance(state, dict) else None
    secrets = options.get("Secrets") if isinstance(options, dict) else None
    return any(f"id={mark}" in str(secret).split(",") for secret in secrets or ())


def remove_containers(program: str, mark: str, begin: Callable[[], None]) -> None:
    """Removes the containers that carry ``mark`` from the store of ``program`` (podman or buildah).

    A repetition does nothing. An engine that fails, or does not end within 30 seconds, leaves them there: no error is
    raised, since the build's own one is the one to report.

    :param begin: called in each new process before the engine runs.
    """
    with contextlib.suppress(OSError, UnicodeError, subprocess.SubprocessError):
        graph_root = Path(_output([program, "info", "--format", _GRAPH_ROOT[program]], begin).strip())
        if ids := marked_containers(graph_root, mark):
            _output([program, *_REMOVE[program], *ids], begin)


def _output(argv: Sequence[str], begin: Callable[[], None]) -> str:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, preexec_fn=begin, check=True
    )
    return done.stdout.decode()
