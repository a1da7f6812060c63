"""``python -m ml sample-data``: a pipeline's sample data as files, to begin with or to look at."""

from __future__ import annotations

from pathlib import Path

import click

from ml.commands.output import json_option, show


@click.command("sample-data")
@click.argument("pipeline")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def sample_data(pipeline: str, folder: Path, as_json: bool) -> None:
    """Write PIPELINE's sample data to FOLDER, which is new or empty, as the samples would lie in the inbox."""
    from ml.sample_data import export_sample_data

    written = export_sample_data(pipeline, folder)
    show(
        {"pipeline": pipeline, "folder": str(folder.absolute()), "files": len(written)},
        as_json=as_json,
        text=f"wrote {len(written)} files to {folder}",
    )
