"""``pipelines`` and ``settings``: what there is, and what is in force."""

from __future__ import annotations

import click
import yaml

from ml import home
from ml.commands.output import json_option, show
from ml.settings import load_settings
from ml.settings_keys import documented_keys


@click.command()
@json_option
def pipelines(as_json: bool) -> None:
    """List the pipelines found in $RESPAN_PIPELINES and ml/pipelines."""
    names = home.pipeline_names()
    show({"pipelines": names}, as_json=as_json, text="\n".join(names) or "no pipelines found")


@click.command()
@click.argument("pipeline")
@click.option("--schema", is_flag=True, help="Print every key, its default and what it means, instead.")
@json_option
def settings(pipeline: str, schema: bool, as_json: bool) -> None:
    """Check the settings of PIPELINE and print what is in force, defaults included."""
    found = load_settings(pipeline)
    if schema:
        keys = documented_keys(found)
        text = "\n".join(f"{key.name} = {key.without_it}  ({key.allowed})\n    {key.meaning}" for key in keys)
        document = {
            key.name: {
                "default": key.default,
                "required": key.required,
                "allowed": key.allowed,
                "meaning": key.meaning,
            }
            for key in keys
        }
        show(document, as_json=as_json, text=text)
        return
    content = found.model_dump(mode="json")
    show(content, as_json=as_json, text=yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip())
