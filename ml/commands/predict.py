"""``predict``: a frozen batch through a released model."""

from __future__ import annotations

import click

from ml.commands.arguments import batch_argument
from ml.commands.output import Progress, json_option, show


@click.command()
@click.argument("pipeline")
@batch_argument
@click.option("--version", type=click.IntRange(min=1), help="A released version; default: the one that serves.")
@json_option
def predict(pipeline: str, batch_id: str, version: int | None, as_json: bool) -> None:
    """Write a line for each sample of BATCH with what the released model says of it.

    A sample that fails is a line with its error. A repeat finds the predictions that are there.
    """
    from ml import layout
    from ml.batches import read_batch
    from ml.home import pipeline_storage
    from ml.prediction import batch as prediction
    from ml.settings import load_settings

    settings = load_settings(pipeline)
    storage = pipeline_storage(pipeline)
    progress = Progress("samples", read_batch(storage, batch_id).samples)
    made = prediction.predict(storage, settings, batch_id, version, advance=progress.advance)
    file = storage.uri(made.folder or layout.batch(batch_id, layout.PREDICTIONS))
    show(
        {"batch": batch_id, **made.model_dump(exclude={"folder"}), "predictions": file},
        as_json=as_json,
        text=f"version {made.version} predicted {made.predicted} samples, {made.failed} failed: {file}",
    )
