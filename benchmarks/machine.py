"""What the benchmarks ran on, without anything that names the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

_VERSIONS = (
    "import json, platform\n"
    "from importlib import metadata\n"
    "found = {'python': platform.python_version()}\n"
    "for name in ('apache-airflow', 'tfx', 'tensorflow'):\n"
    "    try:\n"
    "        found[name] = metadata.version(name)\n"
    "    except metadata.PackageNotFoundError:\n"
    "        pass\n"
    "print(json.dumps(found))\n"
)


def machine(environments: dict[str, Path]) -> dict[str, Any]:
    """Kind of processor, cores, memory, operating system, and the versions in each environment (name → interpreter)."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "load_at_start": round(os.getloadavg()[0], 2),
        "environments": {
            name: json.loads(subprocess.run([str(python), "-c", _VERSIONS], capture_output=True, check=True).stdout)
            for name, python in environments.items()
        },
    }


def _field(file: str, name: str) -> str | None:
    for line in Path(file).read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
