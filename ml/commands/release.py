"""``release``: which versions there are, who serves, publishing and rolling back."""

from __future__ import annotations

from typing import Any

import click

from ml import releases
from ml.commands.output import json_option, show
from ml.comparison.documents import read_comparison
from ml.comparison.records import GateDecision
from ml.errors import NotFoundError
from ml.home import pipeline_folder, pipeline_storage
from ml.runs import read_run
from ml.spans.truths import LeftOut
from ml.storage import Storage


@click.group()
def release() -> None:
    """Released versions: publish, serve, list, show, rollback."""


@release.command()
@click.argument("pipeline")
@click.option("--run-id", required=True, help="The training run whose pushed model becomes a release.")
@click.option("--reason", help="Recorded with the release; default: what the run was started for.")
@click.option("--serve/--no-serve", default=True, show_default=True, help="Whether it gets all the traffic, too.")
@click.option("--confirm", is_flag=True, help="Release it also if a person has to confirm that: you do.")
@json_option
def publish(pipeline: str, run_id: str, reason: str | None, serve: bool, confirm: bool, as_json: bool) -> None:
    """Release the model that a run of PIPELINE pushed, and let it serve. A run that pushed none releases none."""
    from ml.publishing import publish as publish_run

    record = publish_run(pipeline, run_id, reason, serve=serve, confirmed=confirm)
    document: dict[str, Any] = {
        "version": None,
        "cause": None,
        "reason": reason,
        "revision": None,
        "image": None,
        "comparison": None,
        "lost_classes": [],
        "new_classes": [],
    }
    if record:
        text = f"version {record.version} serves" if serve else f"version {record.version} is released"
        document = record.model_dump(mode="json", include=set(document))
    else:
        comparison = read_comparison(pipeline_storage(pipeline), run_id)
        why = f": {comparison.why}" if comparison else ", which is not blessed"
        text = f"nothing is released of run {run_id}{why}"
        if comparison and comparison.decision is GateDecision.ASK:
            text += " To confirm it, repeat this with --confirm."
        document["comparison"] = comparison.why if comparison else None
    show(document, as_json=as_json, text=text)


@release.command()
@click.argument("pipeline")
@click.option("--version", type=click.IntRange(min=1), required=True, help="A released version.")
@click.option("--share", type=click.IntRange(1, 100), default=100, show_default=True, help="Its share in percent.")
@click.option("--again", is_flag=True, help="Also where it has served before; else nothing changes then.")
@click.option("--reason", help="Recorded in the history; default: what the version was released for.")
@json_option
def serve(pipeline: str, version: int, share: int, again: bool, reason: str | None, as_json: bool) -> None:
    """Let a version of PIPELINE serve; those that serve now share what is left of the traffic."""
    storage = _storage(pipeline)
    reason = reason or releases.read_release(storage, version).reason
    now = releases.serve(storage, version, reason, share=share, again=again)
    text = ", ".join(f"version {number}: {part} %" for number, part in sorted(now.traffic.items()))
    if now.traffic.get(version) != share:
        text += f" (nothing was changed: version {version} has served before; --again says that it is meant)"
    show({"version": version, "traffic": now.traffic}, as_json=as_json, text=text)


@release.command(name="list")
@click.argument("pipeline")
@json_option
def list_(pipeline: str, as_json: bool) -> None:
    """List the released versions of PIPELINE, and who serves."""
    storage = _storage(pipeline)
    current = releases.serving(storage)
    traffic = current.traffic if current else {}
    records = [releases.read_release(storage, version) for version in releases.versions(storage)]
    lines = []
    for record in records:
        share = f"{traffic[record.version]:>3} %" if record.version in traffic else "     "
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in sorted(record.metrics.items()))
        lines.append(
            f"{record.version:>5}  {share}  {record.created:%Y-%m-%d %H:%M}  {record.cause.value:<13}  "
            f"{(record.revision or 'installed')[:12]:<12}  {metrics}"
        )
    document = {
        "versions": [record.version for record in records],
        "traffic": traffic,
        "releases": [record.model_dump(mode="json", include={"version", "revision", "image"}) for record in records],
    }
    show(document, as_json=as_json, text="\n".join(lines) or "no releases yet")


@release.command(name="show")
@click.argument("pipeline")
@click.argument("version", required=False, type=int)
@json_option
def show_(pipeline: str, version: int | None, as_json: bool) -> None:
    """Show where VERSION (default: the one that serves) came from, and the history of who served."""
    storage = _storage(pipeline)
    current = releases.serving(storage)
    if version is None:
        if current is None:
            raise NotFoundError(f"nothing was released yet for {pipeline}: train it first")
        version = current.version
    record = releases.read_release(storage, version)
    history = current.history if current else []
    left_out = _left_out(storage, record.run)
    document = {
        **record.model_dump(mode="json"),
        "left_out": left_out.model_dump() if left_out else None,
        "traffic": (current.traffic if current else {}).get(version, 0),
        "history": [change.model_dump(mode="json") for change in history],
    }
    lines = [f"{name:<10} {value}" for name, value in record.model_dump(mode="json", exclude_none=True).items()]
    lines += [f"{'left_out':<10} {left_out}"] if left_out else []
    lines += [
        f"{change.at:%Y-%m-%d %H:%M:%S}  "
        + ", ".join(f"version {number}: {share} %" for number, share in sorted(change.traffic.items()))
        + f"  ({change.reason})"
        for change in history
    ]
    show(document, as_json=as_json, text="\n".join(lines))


@release.command()
@click.argument("pipeline")
@click.option("--to", type=click.IntRange(min=1), help="The version to serve; default: the one that served before.")
@click.option("--reason", help="Recorded in the history.")
@json_option
def rollback(pipeline: str, to: int | None, reason: str | None, as_json: bool) -> None:
    """Let an earlier version of PIPELINE serve again, at once."""
    storage = _storage(pipeline)
    before = releases.serving(storage)
    now = releases.rollback(storage, to=to, reason=reason)
    previous = before.version if before else None
    text = f"version {now.version} serves (before: {previous})"
    show({"version": now.version, "previous": previous}, as_json=as_json, text=text)


def _left_out(storage: Storage, run: str) -> LeftOut | None:
    """What the release's window left out of its spans; None if the run's record is gone or from before it was
    counted."""
    try:
        return read_run(storage, run).left_out
    except NotFoundError:
        return None


def _storage(pipeline: str) -> Storage:
    pipeline_folder(pipeline)  # a pipeline that doesn't exist is told before an empty storage is
    return pipeline_storage(pipeline)
