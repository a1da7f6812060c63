"""``ci-cd lint``: the gates for style and formatting at a revision."""

from __future__ import annotations

from pathlib import Path

import click

from ml.ci_cd.gates import python_files, python_files_below, read_changed, run_gates
from ml.ci_cd.passed import passed, record_passed, step_key
from ml.commands.ci_cd_arguments import checkout_options
from ml.commands.output import json_option, show
from ml.home import pipeline_storage
from ml.settings import load_settings
from ml.temporary import temporary_folder

STEP = "lint"


@click.command()
@click.argument("pipeline")
@checkout_options
@click.option(
    "--changed",
    type=click.Path(path_type=Path),
    help="File with a JSON list of the paths that changed; null: not known.  [default: not known]",
)
@json_option
def lint(
    pipeline: str, checkout: Path, revision: str, content: str | None, changed: Path | None, as_json: bool
) -> None:
    """Call each of ci_cd.gates, in a sandbox, with the Python files that changed; all of PIPELINE's if nobody knows.

    The gates are modules of the environment that this runs in, and those of the installed settings. Exits with 10 where
    one fails, and names file and line.
    """
    settings = load_settings(pipeline).ci_cd
    storage = pipeline_storage(pipeline)
    paths = read_changed(changed) if changed else None
    if paths is None:
        files = python_files_below(checkout, f"{settings.pipelines_path}/{pipeline}")
    else:
        files = python_files(checkout, paths)
    key = step_key(STEP, content, *settings.gates, "", *files)
    if before := passed(storage, STEP, key):
        result = {**before.result, "reused": True}
        show(result, as_json=as_json, text=f"passed before, at revision {before.revision}: not run again")
        return
    if files and settings.gates:
        with temporary_folder() as folder:
            run_gates(
                settings.gates,
                files,
                checkout=checkout,
                pipelines_path=settings.pipelines_path,
                limits=settings.limits,
                folder=folder,
            )
    result = {"gates": list(settings.gates), "files": len(files), "reused": False}
    record_passed(storage, STEP, key, revision, result)
    told = ", ".join(settings.gates) or "no gate"
    show(result, as_json=as_json, text=f"{len(files)} Python files pass: {told}")
