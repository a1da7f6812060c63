"""``span`` and ``window``: make spans of frozen batches, and name those that a training run reads."""

from __future__ import annotations

import click

from ml.commands.arguments import batch_argument
from ml.commands.output import Progress, json_option, note, show


@click.group()
def span() -> None:
    """Make a span of a batch, and look at spans."""


@span.command()
@click.argument("pipeline")
@batch_argument
@json_option
def prepare(pipeline: str, batch_id: str, as_json: bool) -> None:
    """Make a span of BATCH: decode, drop duplicates, split, write TFRecords, publish.

    A repeat finds the span that is there. Refused samples are recorded for `batch settle`.
    """
    from ml.batches import read_batch
    from ml.home import pipeline_storage
    from ml.settings import load_settings
    from ml.spans import preparation

    settings = load_settings(pipeline)
    storage = pipeline_storage(pipeline)
    frozen = read_batch(storage, batch_id)
    progress = Progress("samples", frozen.samples + frozen.refused)
    made = preparation.prepare(storage, settings, batch_id, advance=progress.advance)
    if len(made.classes) == 1:
        (only,) = made.classes
        note(f"span {made.span} holds the one label {only!r}: a window needs two labels at least to train on")
    document = made.model_dump(include={"span", "train", "eval", "duplicates", "refused"})
    show(
        document,
        as_json=as_json,
        text=f"span {made.span}: {made.train} to train on, {made.eval} to evaluate on, "
        f"{made.duplicates} duplicates dropped, {made.refused} refused",
    )


@span.command("list")
@click.argument("pipeline")
@json_option
def list_(pipeline: str, as_json: bool) -> None:
    """The complete spans of PIPELINE, by number."""
    from ml.home import pipeline_folder, pipeline_storage
    from ml.spans.documents import list_spans

    pipeline_folder(pipeline)
    spans = list_spans(pipeline_storage(pipeline))
    lines = (f"{s.span:>5}  {s.train:>8} train  {s.eval:>8} eval  {len(s.classes):>4} labels  {s.batch}" for s in spans)
    show(
        {"spans": [s.model_dump(mode="json") for s in spans]},
        as_json=as_json,
        text="\n".join(lines) or "no span yet: make one with `python -m ml span prepare`",
    )


@span.command("show")
@click.argument("pipeline")
@click.argument("number", type=click.IntRange(min=1))
@json_option
def show_(pipeline: str, number: int, as_json: bool) -> None:
    """Where span NUMBER came from and what it holds."""
    from ml.home import pipeline_folder, pipeline_storage
    from ml.spans.documents import read_span

    pipeline_folder(pipeline)
    found = read_span(pipeline_storage(pipeline), number)
    lines = [
        f"span {found.span} of batch {found.batch}, created {found.created.isoformat()}",
        f"{found.train} train, {found.eval} eval, {found.duplicates} duplicates, {found.refused} refused",
        *(f"  {label}: {count.train} train, {count.eval} eval" for label, count in found.classes.items()),
    ]
    show(found.model_dump(mode="json"), as_json=as_json, text="\n".join(lines))


@click.command()
@click.argument("pipeline")
@click.option("--spans", type=click.IntRange(min=1), help="How many; default: data.window_spans of the settings.")
@json_option
def window(pipeline: str, spans: int | None, as_json: bool) -> None:
    """The newest complete spans: what a training run of PIPELINE reads."""
    from ml import windows
    from ml.home import pipeline_storage
    from ml.settings import load_settings

    settings = load_settings(pipeline)
    found = windows.window(pipeline_storage(pipeline), spans or settings.data.window_spans)
    show({"window": found}, as_json=as_json, text=windows.format(found) or "no span yet")
