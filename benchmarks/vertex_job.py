"""Writes the job that a training is on Vertex AI, for ``vertex_mirroring``. A program for TFX's environment."""

from __future__ import annotations

import sys
from pathlib import Path

from ml.logs import quiet


def main(pipeline: str, bucket: str, image: str, file: str) -> None:
    """Compiles ``pipeline`` with all its components, and with nothing of a run's own but ``bucket`` and ``image``."""
    quiet()
    from ml.pipeline_modules import bind_pipeline
    from ml.settings import load_settings
    from ml.tfx.vertex_spec import PARAMETERS, VertexPlace, compile_spec

    bind_pipeline(pipeline)
    place = VertexPlace(image=image, pipeline_root=f"gs://{bucket}/{pipeline}")
    settings = load_settings(pipeline, {"target": "vertex", "vertex.image": image, "tuner.enabled": "true"})
    Path(file).write_bytes(compile_spec(settings, place, dict.fromkeys(PARAMETERS, "{}")))


if __name__ == "__main__":
    main(*sys.argv[1:])
