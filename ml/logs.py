"""What TensorFlow, TFX and Beam say on standard error: errors and progress, not their import-time noise."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import sys
import warnings

#: What every command sets where its caller hasn't.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "ERROR", "GLOG_minloglevel": "2"}


def quiet() -> None:
    """Keeps TensorFlow's and TFX's start-up messages out of the logs. Call it before importing either; light."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore")
    for name in ("apache_beam", "tensorflow", "tensorflow_transform", "keras", "root"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if importlib.util.find_spec("absl"):
        from absl import logging as absl_logging

        absl_logging.set_verbosity(absl_logging.ERROR)
    atexit.register(_end_quietly)


def _end_quietly() -> None:
    # TensorFlow's functions can't be taken apart any more while the interpreter ends, and each says so.
    sys.unraisablehook = lambda _unraisable: None
