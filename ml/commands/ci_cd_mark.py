"""``ci-cd mark-processed``: where the comparison with later revisions begins."""

from __future__ import annotations

import click

from ml.ci_cd.records import ProcessedRevision, Scope
from ml.ci_cd.revisions import record_processed
from ml.commands.output import json_option, show
from ml.home import pipeline_storage
from ml.records import now
from ml.settings import load_settings

#: Stands for the ci_cd run in what a person marked.
BY_HAND = "by hand"


@click.command("mark-processed")
@click.argument("pipeline")
@click.option("--revision", required=True, help="The commit's full id.")
@click.option("--branch", help="The branch it is on.  [default: the one in the settings]")
@json_option
def mark_processed(pipeline: str, revision: str, branch: str | None, as_json: bool) -> None:
    """Say that PIPELINE as installed is REVISION, without doing anything for it.

    The next revision of the branch is compared with it. Without, the first revision that is found counts as a change of
    the whole.
    """
    branch = branch or load_settings(pipeline).ci_cd.branch
    record = record_processed(
        pipeline_storage(pipeline),
        ProcessedRevision(branch=branch, revision=revision, scope=Scope.NONE, run=BY_HAND, at=now()),
    )
    show(
        {"branch": record.branch, "revision": record.revision},
        as_json=as_json,
        text=f"processed of {record.branch}: {record.revision}",
    )
