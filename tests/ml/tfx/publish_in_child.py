"""Run by a test as a program: publishes a finished run in forked children that are killed, each at another step.

``python -m tests.ml.tfx.publish_in_child HOME SCRATCH``: HOME has the finished run "first". Each kill happens in a copy
of its storage below SCRATCH, and is followed by a retry; each prints a JSON line with what was there after both. A
process of its own, since one that has used TensorFlow can't be forked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import tensorflow  # noqa: F401 (once, before the forks, which would each take seconds for it)

import ml.tfx.outcome  # noqa: F401
from ml import layout, releases
from ml.home import pipeline_storage
from ml.publishing import publish
from ml.storage import Storage
from tests.ml.tfx.digits_pipeline import PIPELINE
from tests.unit.data.killing import killed_at

#: Each makes something appear, change or go; what is between two of them is not seen by any reader.
CHANGES = {"os.link", "os.rename", "os.remove"}


def seen(storage: Storage) -> dict[str, Any]:
    """What a reader of the storage finds."""
    serving = releases.serving(storage)
    return {
        "model": sorted([info.name, info.size] for info in storage.list(layout.MODELS)),
        "released": releases.versions(storage),
        "reference": storage.exists(layout.release_reference(1)),
        "history": [[change.traffic, change.reason] for change in serving.history] if serving else [],
    }


def main(home: Path, scratch: Path) -> None:
    os.environ["RESPAN_HOME"] = str(home)
    for step in range(1, 1000):
        root = scratch / str(step)
        os.environ["RESPAN_STORAGE"] = f"file://{root}"
        shutil.copytree(home / "storage" / PIPELINE / layout.RUNS, root / PIPELINE / layout.RUNS)
        storage = pipeline_storage(PIPELINE)
        killed = killed_at(lambda: publish(PIPELINE, "first", "killed"), step, root, CHANGES)
        after_the_kill = seen(storage)
        killed_at(lambda: publish(PIPELINE, "first", "killed"), 0, root)
        print(json.dumps({"killed": killed, "seen": after_the_kill, "retried": seen(storage)}), flush=True)
        shutil.rmtree(root)
        if not killed:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
