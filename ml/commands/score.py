"""``python -m ml score``: a released model on a labelled folder."""

from __future__ import annotations

from pathlib import Path

import click

from ml.commands.output import json_option, show


@click.command()
@click.argument("pipeline")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", type=click.IntRange(min=1), help="A released version; default: the one that serves.")
@json_option
def score(pipeline: str, folder: Path, version: int | None, as_json: bool) -> None:
    """Tell how good a released model is on FOLDER, which is laid out like the inbox, by its kind's metric.

    For samples of your own that never were in the inbox. Changes nothing.
    """
    from ml.home import pipeline_storage
    from ml.kinds import kind_of
    from ml.scoring import score_folder
    from ml.settings import load_settings

    settings = load_settings(pipeline)
    found = score_folder(pipeline_storage(pipeline), settings, folder, version)
    low, high = found.interval.low, found.interval.high
    further = "".join(f", {name.replace('_', ' ')} {value:.3f}" for name, value in found.further.items())
    show(
        found.model_dump(mode="json"),
        as_json=as_json,
        text=f"version {found.version}: {kind_of(settings).words.metric} {found.value:.3f} ({low:.3f} to {high:.3f})"
        f"{further} on {found.samples} samples, {found.failed} unreadable, {found.skipped} files skipped"
        + (f", {found.ignored} ignored" if found.ignored else ""),
    )
