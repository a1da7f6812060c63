"""``ci-cd list``: what was processed, what was shipped, and which run holds which revision."""

from __future__ import annotations

import click

from ml.ci_cd import revisions
from ml.commands.output import json_option, show
from ml.home import pipeline_folder, pipeline_storage

_MOST_CLAIMS = 20


@click.command(name="list")
@click.argument("pipeline")
@json_option
def list_(pipeline: str, as_json: bool) -> None:
    """List the revision processed last of each branch of PIPELINE, the one shipped last, and which run claimed which.

    Claims are listed newest first; for people the 20 newest.
    """
    pipeline_folder(pipeline)
    storage = pipeline_storage(pipeline)
    branches = revisions.all_processed(storage)
    claims = sorted(revisions.claims(storage), key=lambda claim: (claim[1].since, claim[0]), reverse=True)
    shipped = revisions.shipped(storage)
    document = {
        "branches": [record.model_dump(mode="json") for record in branches],
        "shipped": shipped and shipped.model_dump(mode="json"),
        "claims": [{"revision": revision, **claim.model_dump(mode="json")} for revision, claim in claims],
    }
    lines = [
        f"processed  {record.revision[:12]}  {record.at:%Y-%m-%d %H:%M}  {record.scope.value:<7}  {record.branch}"
        for record in branches
    ]
    if shipped:
        lines.append(f"shipped    {shipped.revision[:12]}  {shipped.at:%Y-%m-%d %H:%M}")
    lines += [
        f"claimed    {revision[:12]}  {claim.since:%Y-%m-%d %H:%M}  by {claim.run}"
        for revision, claim in claims[:_MOST_CLAIMS]
    ]
    show(document, as_json=as_json, text="\n".join(lines) or "no revision was processed yet")
