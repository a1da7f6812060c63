"""``audit``: is every collected sample in exactly one place?"""

from __future__ import annotations

import click

from ml.audit import audit as take_audit
from ml.commands.output import json_option, note, show
from ml.errors import DataError
from ml.home import pipeline_storage
from ml.kinds import kind_of
from ml.settings import load_settings

_COUNTS = (
    "collected",
    "inbox",
    "batch",
    "archived",
    "quarantined",
    "vanished",
    "lost",
    "duplicated",
    "incomplete",
    "corrected",
    "ignored",
)


@click.command()
@click.argument("pipeline")
@json_option
def audit(pipeline: str, as_json: bool) -> None:
    """Prove from storage alone that each collected sample of PIPELINE is in exactly one place.

    Exits with 3 where a sample is lost or in more than one place, and names the first of them.
    """
    settings = load_settings(pipeline)
    found = take_audit(pipeline_storage(pipeline), kind_of(settings))
    counts = found.model_dump(include=set(_COUNTS))
    text = "\n".join(f"{name:<12} {counts[name]:>10,}" for name in _COUNTS)
    show(counts, as_json=as_json, text=text)
    for problem in found.problems:
        note(problem)
    if found.balanced:
        note("balanced: each sample is in exactly one place")
    else:
        raise DataError(
            f"{found.lost} samples of {pipeline} are lost and {found.duplicated} are in more than one place: "
            "see the names above"
        )
