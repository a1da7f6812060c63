"""``python -m ml local-run``: a pipeline end to end on its sample data."""

from __future__ import annotations

from pathlib import Path

import click

from ml.commands.arguments import given_settings, settings_option
from ml.commands.output import json_option, note, show


@click.command("local-run")
@click.argument("pipeline")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="An empty folder for all that is written; default: none is kept."
)
@settings_option
@json_option
def local_run(pipeline: str, keep: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Run PIPELINE end to end on its sample data, with a home and a storage of its own.

    Samples, span, training, release, prediction and evaluation, with the settings in ci_cd.local_run. Fails where a
    step does, or where the candidate is not blessed. The real storage is not touched.
    """
    from ml.local_run import run_locally

    result = run_locally(pipeline, given_settings(overrides), keep=keep, tell=note)
    told = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    show(
        result.model_dump(mode="json"),
        as_json=as_json,
        text=f"{pipeline} runs: {result.samples} samples, blessed with {told}, {sum(result.seconds.values()):.0f} s",
    )
