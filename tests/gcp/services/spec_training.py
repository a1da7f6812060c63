"""Everything that precedes a training on Vertex AI, in the place that the environment names. For TFX's environment.

``python spec_training.py <pipeline> <run id> <image> <project> [<key>=<value> …]``: the pipeline's sample data is
frozen and made a span where there is none yet, and the run's job is written. Prints the document's name in storage.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ml import layout
from ml.freezing import freeze
from ml.home import pipeline_folder, pipeline_storage
from ml.pipeline_modules import bind_pipeline
from ml.runs import start_run
from ml.settings import load_settings
from ml.settling import settle
from ml.spans.preparation import prepare
from ml.storage import Storage
from ml.tfx.vertex_run import write_job
from ml.user_code import load_function, user_code


def main(pipeline: str, run_id: str, image: str, project: str, *settings: str) -> None:
    storage = pipeline_storage(pipeline)
    given = dict(one.split("=", 1) for one in settings) | {"target": "vertex", "vertex.image": image}
    bind_pipeline(pipeline)
    if not storage.folders(layout.SPANS):
        _make_span(pipeline, storage)
    run = start_run(pipeline, storage, run_id, settings=given)
    print(write_job(run, project)[0])


def _make_span(pipeline: str, storage: Storage) -> None:
    code, settings = pipeline_folder(pipeline), load_settings(pipeline)
    write_samples = load_function(code, f"ml.pipelines.{pipeline}.sample_data", "write_samples")
    with tempfile.TemporaryDirectory() as folder, user_code(code):
        write_samples(Path(folder))
        for file in filter(Path.is_file, Path(folder).rglob("*")):
            storage.write(layout.inbox(file.relative_to(folder).as_posix()), file.read_bytes())
    batch = freeze(storage, settings, "first").id
    prepare(storage, settings, batch)
    settle(storage, batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
