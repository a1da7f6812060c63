"""``ci-cd test``: a pipeline's own tests at a revision."""

from __future__ import annotations

from pathlib import Path

import click

from ml import layout
from ml.ci_cd.passed import passed, record_passed, step_key
from ml.ci_cd.testing import find_tests, run_tests
from ml.commands.ci_cd_arguments import checkout_options
from ml.commands.output import json_option, note, show
from ml.errors import CodeError
from ml.home import pipeline_storage
from ml.settings import load_settings
from ml.temporary import temporary_folder

STEP = "test"


@click.command()
@click.argument("pipeline")
@checkout_options
@json_option
def test(pipeline: str, checkout: Path, revision: str, content: str | None, as_json: bool) -> None:
    """Run PIPELINE's tests (*_test.py in its folder and its kind's) in a sandbox, and keep their JUnit file.

    Exits with 10 where one fails, and names it. The limits are those of the installed settings, pytest's further
    arguments those of the checkout's.
    """
    settings = load_settings(pipeline)
    storage = pipeline_storage(pipeline)
    key = step_key(STEP, content, settings.kind, settings.ci_cd.pipelines_path)
    if before := passed(storage, STEP, key):
        result = {**before.result, "reused": True}
        show(result, as_json=as_json, text=f"passed before, at revision {before.revision}: not run again")
        return
    result = {"tests": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "junit": None, "reused": False}
    text = "there are no tests: nothing to run"
    if folders := find_tests(checkout, settings.ci_cd.pipelines_path, pipeline, settings.kind):
        with temporary_folder() as folder:
            run = run_tests(
                pipeline,
                folders,
                checkout=checkout,
                pipelines_path=settings.ci_cd.pipelines_path,
                limits=settings.ci_cd.limits,
                folder=folder,
            )
        junit = layout.revision(revision, layout.JUNIT)
        storage.write(junit, run.junit)
        if run.left:
            note(f"the tests left processes behind, which were ended: {', '.join(run.left)}")
        if run.why:
            raise CodeError(run.why)
        found = run.results
        text = found.summary()
        result |= {
            "tests": found.tests,
            "skipped": found.skipped,
            "seconds": found.seconds,
            "junit": storage.uri(junit),
        }
    record_passed(storage, STEP, key, revision, result)
    show(result, as_json=as_json, text=text)
