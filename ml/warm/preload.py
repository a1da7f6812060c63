"""What a warm process imports before it forks: the third-party packages that commands need, and nothing of ``ml``.

Only imports: no TensorFlow operation, no session, no Beam pipeline. What starts threads or talks to a device is left to
the forked worker, for threads don't survive a fork.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable

#: Modules and their submodules that TFX's launcher imports by name when a node runs, in the order of their weight.
MODULES = (
    "tensorflow",
    "keras",
    "apache_beam",
    "tfx.v1",
    "tfx.orchestration.portable.launcher",
    "tfx.orchestration.portable.python_executor_operator",
    "tfx.orchestration.portable.beam_executor_operator",
    "tfx.components.example_gen.import_example_gen.executor",
    "tfx.components.statistics_gen.executor",
    "tfx.components.schema_gen.executor",
    "tfx.components.schema_gen.import_schema_gen.executor",
    "tfx.components.example_validator.executor",
    "tfx.components.transform.executor",
    "tfx.components.tuner.executor",
    "tfx.components.trainer.executor",
    "tfx.components.trainer.fn_args_utils",
    "tfx.components.evaluator.executor",
    "tfx.components.pusher.executor",
    "tensorflow_data_validation",
    "tensorflow_model_analysis",
    "tensorflow_transform.beam.impl",
    "tfx_bsl.public.tfxio",
    "keras_tuner",
    "pyarrow",
    "pydantic",
    "yaml",
    "PIL.Image",
    "msgspec",
    "jinja2",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
)


def preload(log: Callable[[str], None]) -> float:
    """Imports :data:`MODULES`; the seconds that it took.

    A module that can't be imported is logged and left out: the command that needs it says so better.
    """
    begun = time.monotonic()
    # What TensorFlow logs is settled when it is imported; its notes on every import and end of data hide what matters.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:
            log(f"{name} is not preloaded: {type(error).__name__}: {error}")
    return time.monotonic() - begun
