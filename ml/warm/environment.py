"""Which environment variables reach a command."""

from __future__ import annotations

from collections.abc import Mapping

from ml.home import PROJECT
from ml.logs import QUIET

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "GRPC_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PERSON_AND_PLACE = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "MPLCONFIGDIR", "STORAGE_EMULATOR_HOST")
_KEPT = frozenset({*_PROXIES, *_CERTIFICATES, *_PERSON_AND_PLACE})
_KEPT_PREFIXES = ("RESPAN_", "GOOGLE_", "CLOUDSDK_", "GRPC_", "GCE_")

#: Variables that an interpreter or a library reads once, when it starts or is imported: a command that wants other
#: values than the warm process was started with needs another warm process. They are a part of its address.
READ_AT_START = (
    "PYTHON",
    "LD_",
    "LANG",
    "LC_",
    "TF_",
    "KERAS_",
    "CUDA_",
    "NVIDIA_",
    "XLA_",
    "OMP_",
    "OPENBLAS_",
    "MKL_",
)


def command_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a command of ``python -m ml`` sees when its caller has ``environment``.

    Most stays with the caller: Airflow's secrets and connections, and what concerns the caller's own Python
    (``PYTHON*``), which is not the one that runs the command. What a command writes is to be seen at once, so it is
    unbuffered; its text is UTF-8, whatever the caller's locale is.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name.upper() in _KEPT
        or name.startswith(_KEPT_PREFIXES)
        or (name.startswith(READ_AT_START) and not name.startswith("PYTHON"))
    }
    return {**kept, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``environment`` that a warm process can't change any more once it runs; as a command has them
    that was started with it."""
    seen = {**QUIET, **environment}
    return {name: value for name, value in seen.items() if name.startswith(READ_AT_START)}
