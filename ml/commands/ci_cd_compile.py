"""``ci-cd compile``: what a pipeline compiles to at a revision."""

from __future__ import annotations

from pathlib import Path

import click

from ml.ci_cd.compiling import Documents, compare, compile_checkout, keep, kept, node_ids
from ml.ci_cd.passed import passed, record_passed, step_key
from ml.ci_cd.revisions import check_revision_name
from ml.commands.ci_cd_arguments import checkout_options
from ml.commands.output import json_option, note, show
from ml.home import pipeline_storage
from ml.settings import Settings, load_settings
from ml.storage import Storage
from ml.temporary import temporary_folder

STEP = "compile"


@click.command("compile")
@click.argument("pipeline")
@checkout_options
@click.option("--previous", default="", help="The revision to compare with; empty: none.")
@json_option
def compile_(pipeline: str, checkout: Path, revision: str, content: str | None, previous: str, as_json: bool) -> None:
    """Compile PIPELINE's graph and its Vertex AI pipeline in a sandbox, keep both, and show how they changed.

    The code is the checkout's. Exits with 10 where it doesn't compile, or the graph.json in it is stale.
    """
    settings, storage = load_settings(pipeline), pipeline_storage(pipeline)
    before = kept(storage, check_revision_name(previous)) if previous else None
    documents, reused = _documents(storage, settings, checkout, revision, content)
    change = compare(before, documents)
    for line in change.diff:
        note(line)
    nodes = len(node_ids(documents))
    if before is None:
        text = f"{nodes} nodes; first compile: there is nothing to compare with"
    else:
        text = f"{nodes} nodes, {change.diff_lines} lines changed since {previous}"
    document = {
        "nodes": nodes,
        "added": change.added,
        "removed": change.removed,
        "changed": change.changed,
        "diff_lines": change.diff_lines,
        "reused": reused,
    }
    if as_json:
        note(text)
    show(document, as_json=as_json, text=text)


def _documents(
    storage: Storage, settings: Settings, checkout: Path, revision: str, content: str | None
) -> tuple[Documents, bool]:
    """What the revision compiles to, kept under its name; and whether that was known from another one."""
    key = step_key(STEP, content, settings.name, settings.ci_cd.pipelines_path)
    if earlier := passed(storage, STEP, key):
        known = kept(storage, earlier.revision)
        if known is not None:
            note(f"compiled before, at revision {earlier.revision}: not compiled again")
            keep(storage, revision, known)
            return known, True
    with temporary_folder() as folder:
        documents = compile_checkout(settings, checkout, folder)
    node_ids(documents)
    keep(storage, revision, documents)
    record_passed(storage, STEP, key, revision, {})
    return documents, False
