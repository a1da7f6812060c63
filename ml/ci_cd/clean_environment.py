"""The environment variables of code under test."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from urllib.parse import urlsplit

from ml.home import PROJECT
from ml.logs import QUIET

_PLACE = {"PATH", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "NO_PROXY", "no_proxy"}
_CERTIFICATES = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
# By name: other variables that begin with TF_ belong to other programs, and may hold their secrets.
_TENSORFLOW = {"TF2_BEHAVIOR", "TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND"}
_KEPT = frozenset({*_PLACE, *_CERTIFICATES, *_TENSORFLOW})
_KEPT_PREFIXES = ("LC_", "LD_", "CUDA_", "NVIDIA_", "XLA_", "OMP_", "KMP_", "OPENBLAS_", "MKL_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def import_root(checkout: Path) -> Path:
    """Where ``ml`` is imported from: the checkout if it holds the project, else this project."""
    return checkout if (checkout / "ml" / "__main__.py").is_file() else PROJECT


def sandbox_environment(folder: Path, checkout: Path, pipelines_path: str) -> dict[str, str]:
    """All variables that code under test sees.

    From this process come paths, language, time zone and what native libraries read: no token, nothing of Airflow's, no
    Google credentials, no proxy with a password. Home, temporary folder, ``RESPAN_HOME`` and storage are in ``folder``,
    the sandbox's own; ``ml`` is found in :func:`import_root`, and pipelines in the checkout's ``pipelines_path``.
    """
    kept = {name: value for name, value in os.environ.items() if _is_kept(name, value)}
    home, temporary = folder / "home", folder / "tmp"
    state = home / "respan"
    return {
        **QUIET,
        **kept,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_RUNTIME_DIR": str(temporary),
        "MPLCONFIGDIR": str(home / ".config" / "matplotlib"),
        "RESPAN_HOME": str(state),
        "RESPAN_STORAGE": f"file://{state / 'storage'}",
        "RESPAN_PIPELINES": str(checkout / pipelines_path),
        "PYTHONPATH": str(import_root(checkout)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _is_kept(name: str, value: str) -> bool:
    if name.upper() in _PROXIES:
        with contextlib.suppress(ValueError):
            return "@" not in urlsplit(value if "://" in value else f"//{value}").netloc
        return False
    return name in _KEPT or name.startswith(_KEPT_PREFIXES)


def erase_first_environment() -> None:
    """Overwrites what this process, or the one that it was forked from, was started with.

    The kernel shows it in ``/proc/<pid>/environ`` whatever the process does to its variables. Nothing may use a C
    pointer to an old variable afterwards: call it right before the environment is replaced.
    """
    os.environ.clear()
    ctypes.CDLL(None).clearenv()
    fields = Path("/proc/self/stat").read_bytes().rsplit(b")", 1)[1].split()
    # Fields 50 and 51 of proc(5), env_start and env_end; the first one here is field 3.
    begin, end = int(fields[47]), int(fields[48])
    if 0 < begin < end:
        ctypes.memset(begin, 0, end - begin)
