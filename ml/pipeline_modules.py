"""How the modules in a pipeline's folder are imported, wherever that folder is."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from ml.home import pipeline_folder


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
