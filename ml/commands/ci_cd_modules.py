"""``ci-cd copy-modules``: a pipeline's modules at a revision, to storage."""

from __future__ import annotations

from pathlib import Path

import click

from ml.ci_cd.modules import copy_modules as copy
from ml.ci_cd.records import Scope
from ml.commands.ci_cd_arguments import checkout_options
from ml.commands.output import json_option, show
from ml.errors import NotFoundError
from ml.home import pipeline_storage
from ml.settings import load_settings


@click.command("copy-modules")
@click.argument("pipeline")
@checkout_options
@click.option(
    "--scope",
    type=click.Choice([Scope.MODULES.value, Scope.WHOLE.value]),
    default=Scope.MODULES.value,
    show_default=True,
    help="What the change needed; recorded with the modules.",
)
@click.option("--image", help="The image that was built of the revision, with its digest; empty: none.")
@json_option
def copy_modules(
    pipeline: str, checkout: Path, revision: str, content: str | None, scope: str, image: str | None, as_json: bool
) -> None:
    """Copy PIPELINE's modules to storage, where training runs of this revision find them.

    A repeat changes nothing. --content is not used: a revision is copied once.
    """
    settings = load_settings(pipeline)
    folder = _folder(checkout, settings.ci_cd.pipelines_path, pipeline)
    modules = copy(pipeline_storage(pipeline), pipeline, folder, revision, Scope(scope), image)
    total = sum(file.size for file in modules.files)
    show(
        {
            "revision": modules.revision,
            "scope": modules.scope.value,
            "image": modules.image,
            "files": len(modules.files),
            "bytes": total,
        },
        as_json=as_json,
        text=f"{pipeline} at {modules.revision}: {len(modules.files)} files, {total:,} bytes",
    )


def _folder(checkout: Path, pipelines_path: str, pipeline: str) -> Path:
    """The pipeline's folder in the (resolved) checkout. A link on the way there would lead to files of no revision."""
    folder = checkout / pipelines_path / pipeline
    if folder.resolve() != folder or not folder.is_dir():
        raise NotFoundError(f"{checkout} has no folder {pipelines_path}/{pipeline}: see ci_cd.pipelines_path")
    return folder
