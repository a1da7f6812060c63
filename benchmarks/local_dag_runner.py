"""The peer of ``training``: TFX's own LocalDagRunner on the same pipeline. A program for TFX's environment."""

from __future__ import annotations

import sys

from ml.logs import quiet


def main(pipeline: str, run_id: str) -> None:
    """Runs all components of ``pipeline`` on its newest window, in this process."""
    quiet()
    from tfx import v1 as tfx

    from ml.home import pipeline_storage
    from ml.pipeline_modules import bind_pipeline
    from ml.runs import start_run
    from ml.settings import load_settings
    from ml.tfx.factory import create_pipeline
    from ml.tfx.running import run_spec

    storage = pipeline_storage(pipeline)
    run = start_run(pipeline, storage, run_id, None, {})
    settings = load_settings(pipeline, run.settings)
    bind_pipeline(pipeline)
    spec = run_spec(settings, run, storage)
    tfx.orchestration.LocalDagRunner().run(create_pipeline(settings, spec))


if __name__ == "__main__":
    main(*sys.argv[1:])
