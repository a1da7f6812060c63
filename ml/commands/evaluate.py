"""``python -m ml evaluate``."""

from __future__ import annotations

import click

from ml import layout
from ml.commands.arguments import batch_argument
from ml.commands.output import json_option, show
from ml.home import pipeline_storage
from ml.settings import load_settings


@click.command()
@click.argument("pipeline")
@batch_argument
@json_option
def evaluate(pipeline: str, batch_id: str, as_json: bool) -> None:
    """Judge the release that predicted BATCH, and write its report.

    The verdict is PASS, DEGRADED (the metric below its threshold), DRIFTED (a distribution too far from the training
    window) or INSUFFICIENT_DATA (too few predictions to tell, or too many samples that prove nothing: copies, and what
    the release was trained on). Predict the batch first. A repeat on the same
    predictions and settings finds its finished report.
    """
    settings, storage = load_settings(pipeline), pipeline_storage(pipeline)

    from ml.evaluation.evaluate import evaluate as run

    report = run(storage, settings, batch_id)
    html = storage.child(layout.batch(batch_id)).root + "/" + layout.REPORT_HTML
    document = {
        "batch": report.batch,
        "version": report.version,
        "verdict": report.verdict.value,
        "metric": report.metric.name,
        "value": report.metric.value,
        "interval": [report.metric.interval.low, report.metric.interval.high],
        "evaluated": report.counts.evaluated,
        "failed": report.counts.failed,
        "copies": report.counts.copies,
        "trained": report.counts.trained,
        "contradicted": report.counts.contradicted,
        "drift": {drift.feature: drift.value for drift in report.drift},
        "report": html,
    }
    show(document, as_json=as_json, text="\n".join([report.verdict.value, *report.reasons, f"report: {html}"]))
