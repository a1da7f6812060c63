"""``batch``: the life of a batch, from the inbox to the archive."""

from __future__ import annotations

from collections import Counter

import click

from ml import batches, layout
from ml.clutter import describe_clutter
from ml.commands.arguments import batch_argument
from ml.commands.output import json_option, note, show
from ml.freezing import freeze as freeze_batch
from ml.home import pipeline_folder, pipeline_storage
from ml.pairing import in_words
from ml.records import Batch, Settlement
from ml.releases import serving
from ml.settings import load_settings
from ml.settling import return_batch
from ml.settling import settle as settle_batch
from ml.storage import Storage


@click.group()
def batch() -> None:
    """Frozen sets of samples: freeze, settle, return, list, show."""


@batch.command()
@click.argument("pipeline")
@click.option("--run-id", required=True, help="Names the batch; a repeat with the same id finds the same batch.")
@click.option("--max-samples", type=click.IntRange(min=1), help="Most samples; default: evaluation.max_samples.")
@json_option
def freeze(pipeline: str, run_id: str, max_samples: int | None, as_json: bool) -> None:
    """Freeze what lies in the inbox of PIPELINE into a batch. Nothing moves."""
    settings = load_settings(pipeline)
    storage = pipeline_storage(pipeline)
    frozen = freeze_batch(storage, settings, run_id, max_samples=max_samples)
    serves = serving(storage)
    document: dict[str, object] = {
        "batch": frozen.id,
        "samples": frozen.samples,
        "refused": frozen.refused,
        "released": serves.version if serves else None,
    }
    text = f"batch {frozen.id}: {frozen.samples:,} samples, {frozen.refused:,} refused"
    if frozen.incomplete is not None:
        document["incomplete"] = frozen.incomplete
    if frozen.incomplete:
        text += f"; in the inbox {in_words(frozen.incomplete)}"
    if frozen.ignored:
        document["ignored"] = frozen.ignored
        note(describe_clutter(frozen.ignored, frozen.ignored_example))
    if frozen.warnings:
        document["warnings"] = frozen.warnings
    for warning in frozen.warnings:
        note(f"warning: {warning}")
    show(document, as_json=as_json, text=text)


@batch.command()
@click.argument("pipeline")
@batch_argument
@json_option
def settle(pipeline: str, batch_id: str, as_json: bool) -> None:
    """Move the samples of BATCH to the archive, the refused ones to quarantine, and close it."""
    settled = settle_batch(_storage(pipeline), batch_id)
    places = settled.settlement or Settlement()
    text = (
        f"batch {batch_id}: {places.archived:,} archived, {places.quarantined:,} in quarantine, "
        f"{places.vanished:,} vanished"
    )
    show({"batch": batch_id, **places.model_dump()}, as_json=as_json, text=text)


@batch.command(name="return")
@click.argument("pipeline")
@batch_argument
@click.option("--quarantine-refused", is_flag=True, help="First move the samples that were refused to quarantine.")
@json_option
def return_(pipeline: str, batch_id: str, quarantine_refused: bool, as_json: bool) -> None:
    """Dissolve BATCH: its samples are in the inbox as if it had never been."""
    returned = return_batch(_storage(pipeline), batch_id, quarantine_refused=quarantine_refused)
    quarantined = returned.settlement.quarantined if returned is not None and returned.settlement else 0
    text = f"batch {batch_id}: returned, {quarantined:,} samples to quarantine"
    show({"batch": batch_id, "quarantined": quarantined}, as_json=as_json, text=text)


@batch.command(name="list")
@click.argument("pipeline")
@json_option
def list_(pipeline: str, as_json: bool) -> None:
    """List the batches of PIPELINE, oldest first."""
    storage = _storage(pipeline)
    found = batches.list_batches(storage)
    held = batches.open_batch(storage)
    lines = [f"{b.id:<57}  {b.state.value:<8}  {b.samples:>9,} samples  {b.refused:>7,} refused" for b in found]
    show(
        {"batches": [b.model_dump(mode="json") for b in found], "open": held.batch if held else None},
        as_json=as_json,
        text="\n".join(lines) or "no batches yet",
    )


@batch.command(name="show")
@click.argument("pipeline")
@batch_argument
@json_option
def show_(pipeline: str, batch_id: str, as_json: bool) -> None:
    """Show BATCH: its state, its labels, and why samples were refused."""
    storage = _storage(pipeline)
    found = batches.read_batch(storage, batch_id)
    labels, reasons = _tally(storage, found)
    document = {**found.model_dump(mode="json"), "labels": dict(labels), "reasons": dict(reasons)}
    lines = [f"{found.id}: {found.state.value}, frozen {found.frozen:%Y-%m-%d %H:%M:%S} UTC, {found.samples:,} samples"]
    lines += [f"  {label:<30} {count:>9,} samples" for label, count in sorted(labels.items())]
    lines += [f"  refused: {count:>9,}  {reason}" for reason, count in reasons.most_common()]
    if found.ignored:
        lines.append(f"  {describe_clutter(found.ignored, found.ignored_example)}")
    lines += [f"  warning: {warning}" for warning in found.warnings]
    if storage.exists(layout.batch(batch_id, layout.REPORT_HTML)):
        lines.append(f"  report: {storage.uri(layout.batch(batch_id, layout.REPORT_HTML))}")
    if next(batches.read_vanished(storage, batch_id), None) is not None:
        note(f"what vanished is in {storage.uri(layout.batch(batch_id, layout.VANISHED))}")
    show(document, as_json=as_json, text="\n".join(lines))


def _tally(storage: Storage, found: Batch) -> tuple[Counter[str], Counter[str]]:
    """Samples by label, and refused samples by reason."""
    later = batches.read_refusals(storage, found.id)
    labels: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for entry in batches.read_manifest(storage, found.id):
        reason = entry.refused or later.get(entry.index)
        if reason is not None:
            reasons[reason] += 1
        elif entry.label is not None:
            labels[entry.label] += 1
    return labels, reasons


def _storage(pipeline: str) -> Storage:
    pipeline_folder(pipeline)  # a pipeline that doesn't exist is told before an empty storage is
    return pipeline_storage(pipeline)
