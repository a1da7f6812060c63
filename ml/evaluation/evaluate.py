"""Evaluates the release that predicted a batch: ``evaluation.json`` for machines, ``evaluation.html`` for people."""

from __future__ import annotations

import hashlib

from pydantic import ValidationError

from ml import layout
from ml.batches import read_batch
from ml.errors import DataError, NotFoundError
from ml.evaluation.drift import measure_drift
from ml.evaluation.predictions import finished_predictions, prediction_files
from ml.evaluation.records import EvaluationReport
from ml.evaluation.reference import read_reference
from ml.evaluation.report import render
from ml.evaluation.verdict import Rules, decide
from ml.kinds import kind_of
from ml.records import now
from ml.releases import read_release
from ml.settings import Settings
from ml.storage import Storage


def evaluate(storage: Storage, settings: Settings, batch: str) -> EvaluationReport:
    """Judges the predictions of ``batch`` and publishes both reports, the JSON last: where it is, the HTML is too.

    The release judged is the one that predicted, not the newest. A repeat with the same predictions and settings
    returns the finished report; with other ones it replaces it. Raises ``NotFoundError`` for a batch without
    predictions or a release without its records, ``DataError`` for predictions that don't fit the batch.
    """
    read_batch(storage, batch)
    predictions = finished_predictions(storage, batch)
    inputs = _inputs(storage, settings, batch, predictions.version)
    finished = _finished(storage, batch, inputs)
    if finished is not None:
        return finished

    release = read_release(storage, predictions.version)
    kind = kind_of(settings)
    judge = kind.judge(settings)
    judgement = judge.judge(storage, batch, release)
    counts, metric = judgement.counts, judgement.metric
    # A predicted sample without a truth to compare with has failed here, too.
    if counts.samples != predictions.predicted + predictions.failed or counts.evaluated > predictions.predicted:
        raise DataError(
            f"batch {batch} has {counts.evaluated:,} predictions and {counts.failed:,} failures, but its "
            f"record tells {predictions.predicted:,} and {predictions.failed:,}: run `predict` again"
        )
    reference = read_reference(storage, release, judge)
    drift = measure_drift(reference, judgement.found, settings.evaluation) if counts.evaluated else []
    decision = decide(counts, metric, drift, Rules.of(settings))
    report = EvaluationReport(
        pipeline=settings.name,
        batch=batch,
        version=release.version,
        window=release.window,
        created=now(),
        inputs=inputs,
        verdict=decision.verdict,
        reasons=list(decision.reasons),
        metric=metric,
        further=judgement.further,
        counts=counts,
        unit=kind.words.unit,
        classes=judgement.classes,
        confusion=judgement.confusion,
        drift=drift,
        failures=judgement.failures,
        worst=list(judgement.worst),
    )
    page = render(report, kind.words, reference, judgement.found, judge.cases(storage, batch, report.worst))
    storage.write(layout.batch(batch, layout.REPORT_HTML), page)
    storage.write(layout.batch(batch, layout.REPORT_JSON), report.to_json())
    return report


def _inputs(storage: Storage, settings: Settings, batch: str, version: int) -> str:
    """SHA-256 that identifies what is evaluated and how: the version, the settings, and the files' generations."""
    files = [layout.batch(batch, layout.MANIFEST), *prediction_files(storage, batch)]
    parts = [
        str(version),
        settings.evaluation.model_dump_json(),
        settings.data.model_dump_json(),
        settings.model.model_dump_json() if settings.model else "",
        *(f"{name} {storage.stat(name).generation}" for name in files),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _finished(storage: Storage, batch: str, inputs: str) -> EvaluationReport | None:
    try:
        report = EvaluationReport.from_json(storage.read(layout.batch(batch, layout.REPORT_JSON)))
    except (NotFoundError, ValidationError):
        return None
    return report if report.inputs == inputs else None
