"""Which container engine this machine has, for what builds images only where it can."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

_ENGINES = ("docker", "podman", "buildah")
_TRIAL = "localhost/respan-trial"


def container_engine() -> str:
    """The first engine that builds an image here (``docker``, ``podman`` or ``buildah``); ``none`` where none does."""
    return next((engine for engine in _ENGINES if shutil.which(engine) and _builds(engine)), "none")


def _builds(engine: str) -> bool:
    """Many are installed and can't work: no daemon, no rights. Only building tells."""
    with tempfile.TemporaryDirectory() as folder:
        dockerfile = Path(folder) / "Dockerfile"
        dockerfile.write_text("FROM scratch\nCOPY Dockerfile /\n", "utf-8")
        build = [engine, "build", "--tag", _TRIAL, "--file", str(dockerfile), folder]
        if _run(build):
            return False
    _run([engine, "rmi", _TRIAL])
    return True


def _run(command: list[str]) -> int:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode
