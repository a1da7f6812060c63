"""``ci-cd run-locally``: a pipeline end to end on its sample data, at a revision."""

from __future__ import annotations

from pathlib import Path

import click

from ml.ci_cd.checkout_command import checkout_command
from ml.ci_cd.passed import passed, record_passed, step_key
from ml.commands.ci_cd_arguments import checkout_options
from ml.commands.output import json_option, show
from ml.errors import CodeError
from ml.home import pipeline_storage
from ml.settings import load_settings
from ml.temporary import temporary_folder

STEP = "run-locally"


@click.command("run-locally")
@click.argument("pipeline")
@checkout_options
@json_option
def run_locally(pipeline: str, checkout: Path, revision: str, content: str | None, as_json: bool) -> None:
    """Run PIPELINE end to end on its sample data (`local-run`) in a sandbox, with the checkout's code.

    Exits with 10 where a step fails or the candidate is not blessed.
    """
    settings, storage = load_settings(pipeline), pipeline_storage(pipeline)
    key = step_key(STEP, content, settings.name, settings.ci_cd.pipelines_path)
    if before := passed(storage, STEP, key):
        text = f"ran well before, at revision {before.revision}: not run again"
        show({**before.result, "reused": True}, as_json=as_json, text=text)
        return
    with temporary_folder() as folder:
        result = checkout_command(
            ["local-run", pipeline, "--json"],
            what="the stages of the local run",
            settings=settings,
            checkout=checkout,
            folder=folder,
        )
    if result is None or result.get("blessed") is not True:
        raise CodeError(f"the local run of {pipeline} ended well but told no result: see what it wrote above")
    record_passed(storage, STEP, key, revision, result)
    show({**result, "reused": False}, as_json=as_json, text=f"{pipeline} runs end to end: {result.get('metrics')}")
