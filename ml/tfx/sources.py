"""Which code a run's models depend on: how it is found, and how TFX's cache learns that it changed."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

from ml.home import PROJECT, pipeline_folder
from ml.pipeline_files import pipeline_files
from ml.settings import Settings

#: The properties of TFX's components that name a function of the pipeline's modules.
FUNCTIONS = ("preprocessing_fn", "tuner_fn", "run_fn")


def bind_pipeline(pipeline: str, folder: Path | None = None) -> None:
    """Makes ``import ml.pipelines.<pipeline>`` mean ``folder``, by default the one that the pipeline is found in.

    TFX refers to the pipeline's functions by module name. Modules imported from another folder of that name before
    (the process ran an earlier revision) are forgotten.
    """
    place, name = str(folder or pipeline_folder(pipeline)), f"ml.pipelines.{pipeline}"
    bound = sys.modules.get(name)
    if bound is not None and list(bound.__path__) == [place]:
        return
    for known in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[known]
    package = ModuleType(name)
    package.__path__ = [place]
    sys.modules[name] = package


def sources_version(settings: Settings) -> str:
    """SHA-256 (hex) of the modules behind Transform, Tuner and Trainer: the pipeline's and its kind's, without tests.

    Part of those components' parameters, since TFX's cache sees the names of their functions and not the code.
    """
    digest = hashlib.sha256()
    for folder in (pipeline_folder(settings.name), PROJECT / "ml" / "kinds" / settings.kind):
        for file in pipeline_files(folder):
            if file.suffix == ".py" and file.is_file():
                content = file.read_bytes()
                digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
