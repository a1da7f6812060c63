"""A pipeline's sample data: a few samples that its ``sample_data.py`` writes as they would lie in the inbox."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ml.clutter import is_clutter
from ml.errors import CodeError, ConflictError, SettingsError
from ml.home import pipeline_folder
from ml.pipeline_modules import bind_pipeline
from ml.user_code import load_function, user_code

SAMPLE_DATA = "sample_data.py"
WRITE_SAMPLES = "write_samples"


def check_sample_data(pipeline: str) -> None:
    """Raises ``SettingsError`` if the pipeline has no ``sample_data.py``, ``NotFoundError`` if there is no pipeline."""
    file = pipeline_folder(pipeline) / SAMPLE_DATA
    if not file.is_file():
        raise SettingsError(
            f"{file} is missing: define {WRITE_SAMPLES}(folder) there, which writes a few samples as they would lie "
            "in the inbox"
        )


def write_sample_data(pipeline: str, folder: Path) -> list[Path]:
    """Has the pipeline write its samples to ``folder``, which exists. Returns the files' paths in it, but for what
    is never a sample (see ``ml.clutter``).

    Raises what :func:`check_sample_data` raises, and ``CodeError`` if the pipeline's function fails or writes nothing.
    """
    check_sample_data(pipeline)
    code = pipeline_folder(pipeline)
    bind_pipeline(pipeline)
    write_samples = load_function(code, f"ml.pipelines.{pipeline}.sample_data", WRITE_SAMPLES)
    with user_code(code):
        write_samples(folder)
    names = (file.relative_to(folder) for file in folder.rglob("*") if not file.is_dir())
    written = [name for name in names if not is_clutter(name.as_posix())]
    if not written:
        raise CodeError(f"{code / SAMPLE_DATA}: {WRITE_SAMPLES} wrote no file")
    return written


def export_sample_data(pipeline: str, folder: Path) -> list[Path]:
    """Writes the pipeline's samples to ``folder``, which is new or empty; all of them appear at once, or none.

    Raises what :func:`write_sample_data` raises, ``ConflictError`` if ``folder`` holds something, ``SettingsError`` if
    it can't be written. A retry begins from the start.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConflictError(f"{folder} is not an empty folder: name a new one for the samples")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            made = Path(beside) / folder.name
            made.mkdir()
            written = write_sample_data(pipeline, made)
            made.rename(folder)
    except OSError as error:
        raise SettingsError(f"{folder} can't be written: {error.strerror}: name another folder") from error
    return written
