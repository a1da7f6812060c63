"""``prediction``: what a batch prediction job on Vertex AI needs of storage, before and after it."""

from __future__ import annotations

import click

from ml.commands.arguments import batch_argument
from ml.commands.output import Progress, json_option, show


@click.group()
def prediction() -> None:
    """Hand a batch to a prediction job on Vertex AI, and take over its predictions."""


@prediction.command("write-instances")
@click.argument("pipeline")
@batch_argument
@click.option("--version", required=True, type=click.IntRange(min=1), help="The released version that will predict.")
@json_option
def write_instances(pipeline: str, batch_id: str, version: int, as_json: bool) -> None:
    """Write the samples of BATCH as JSON Lines, for a job to read.

    A sample that can't be decoded is refused. A repeat finds what is there; `finished` tells that the batch has its
    predictions by this version already.
    """
    from ml.batches import read_batch
    from ml.home import pipeline_storage
    from ml.prediction import instances
    from ml.prediction.documents import instances_folder, prediction_folder, read_predictions
    from ml.settings import load_settings

    settings = load_settings(pipeline)
    storage = pipeline_storage(pipeline)
    made = read_predictions(storage, batch_id)
    finished = made is not None and made.version == version
    folder = instances_folder(batch_id, version)
    samples, files = 0, []
    if not finished:
        progress = Progress("samples", read_batch(storage, batch_id).samples)
        written = instances.write_instances(storage, settings, batch_id, version, advance=progress.advance)
        samples, files = written.samples, [storage.uri(f"{folder}/{name}") for name in written.files]
    show(
        {
            "batch": batch_id,
            "version": version,
            "samples": samples,
            "instances": files,
            "output": storage.uri(prediction_folder(batch_id, version)),
            "finished": finished,
        },
        as_json=as_json,
        text=f"batch {batch_id} has its predictions by version {version} already"
        if finished
        else f"{samples} samples in {len(files)} files: {storage.uri(folder)}",
    )


@prediction.command()
@click.argument("pipeline")
@batch_argument
@click.option("--version", required=True, type=click.IntRange(min=1), help="The released version that predicted.")
@click.option("--folder", help="The folder that the job wrote: its URI, or its name.")
@json_option
def collect(pipeline: str, batch_id: str, version: int, folder: str | None, as_json: bool) -> None:
    """Check the predictions that a job made of BATCH, and record them.

    A sample that failed is a refusal. A repeat finds the predictions that are there, also without the folder.
    """
    from ml import layout
    from ml.home import pipeline_storage
    from ml.prediction import collection
    from ml.settings import load_settings

    settings = load_settings(pipeline)
    storage = pipeline_storage(pipeline)
    made = collection.collect(storage, settings, batch_id, version, folder)
    place = storage.uri(made.folder or layout.batch(batch_id, layout.PREDICTIONS))
    show(
        {
            "batch": batch_id,
            "version": version,
            "predicted": made.predicted,
            "failed": made.failed,
            "predictions": place,
        },
        as_json=as_json,
        text=f"version {made.version} predicted {made.predicted} samples, {made.failed} failed: {place}",
    )
