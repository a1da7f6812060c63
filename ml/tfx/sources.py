"""Which code a run's models depend on, and how TFX's cache learns that it changed."""

from __future__ import annotations

import hashlib

from ml.home import PROJECT, pipeline_folder
from ml.pipeline_files import pipeline_files
from ml.settings import Settings

#: The properties of TFX's components that name a function of the pipeline's modules.
FUNCTIONS = ("preprocessing_fn", "tuner_fn", "run_fn")


def sources_version(settings: Settings) -> str:
    """SHA-256 (hex) of the modules behind Transform, Tuner and Trainer: the pipeline's and all kinds', without tests.

    Part of those components' parameters, since TFX's cache sees the names of their functions and not the code.
    """
    digest = hashlib.sha256()
    for folder in (pipeline_folder(settings.name), PROJECT / "ml" / "kinds"):
        for file in pipeline_files(folder):
            if file.suffix == ".py" and file.is_file():
                content = file.read_bytes()
                digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
