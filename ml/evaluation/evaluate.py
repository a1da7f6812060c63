"""Evaluates the release that predicted a batch: ``evaluation.json`` for machines, ``evaluation.html`` for people."""

from __future__ import annotations

import hashlib

from pydantic import ValidationError

from ml import layout
from ml.batches import read_batch
from ml.errors import DataError, NotFoundError
from ml.evaluation.drift import label_drift, numeric_drift
from ml.evaluation.images import batch_statistics, thumbnails
from ml.evaluation.mistakes import Instance
from ml.evaluation.reading import prediction_files, read_outcomes
from ml.evaluation.records import Drift, EvaluationReport
from ml.evaluation.reference import Distributions, read_reference
from ml.evaluation.report import render
from ml.evaluation.scores import score
from ml.evaluation.verdict import Rules, accuracy, decide
from ml.prediction.documents import Predictions, read_predictions
from ml.records import now
from ml.releases import read_release
from ml.settings import Settings
from ml.settings_sections import EvaluationSettings
from ml.storage import Storage


def evaluate(storage: Storage, settings: Settings, batch: str) -> EvaluationReport:
    """Judges the predictions of ``batch`` and publishes both reports, the JSON last: where it is, the HTML is too.

    The release judged is the one that predicted, not the newest. A repeat with the same predictions and settings
    returns the finished report; with other ones it replaces it. Raises ``NotFoundError`` for a batch without
    predictions or a release without its records, ``DataError`` for predictions that don't fit the batch.
    """
    read_batch(storage, batch)
    predictions = _predictions(storage, batch)
    inputs = _inputs(storage, settings, batch, predictions.version)
    finished = _finished(storage, batch, inputs)
    if finished is not None:
        return finished

    release = read_release(storage, predictions.version)
    rules, pixels = settings.evaluation, settings.data.max_sample_pixels
    outcomes = read_outcomes(storage, batch, release.classes)
    scores = score(outcomes, rules.confidence, rules.human_level)
    if (scores.counts.evaluated, scores.counts.failed) != (predictions.predicted, predictions.failed):
        raise DataError(
            f"batch {batch} has {scores.counts.evaluated:,} predictions and {scores.counts.failed:,} failures, but its "
            f"record tells {predictions.predicted:,} and {predictions.failed:,}: run `predict` again"
        )
    reference = read_reference(storage, release)
    found = Distributions(
        labels=scores.labels,
        predicted=scores.predicted,
        statistics=batch_statistics(storage, batch, outcomes.chosen, pixels),
    )
    drift = measure_drift(reference, found, rules) if scores.counts.evaluated else []
    limits = Rules(rules.threshold, rules.confidence, rules.min_evaluated, settings.data.max_refused_share)
    metric = accuracy(scores.counts, limits)
    decision = decide(scores.counts, metric, drift, limits)
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
        counts=scores.counts,
        classes=scores.classes,
        confusion=scores.confusion,
        drift=drift,
        failures=outcomes.failures,
        mistakes=outcomes.mistakes,
    )
    pictures = thumbnails(storage, batch, [Instance(one.object, one.generation) for one in report.mistakes], pixels)
    storage.write(layout.batch(batch, layout.REPORT_HTML), render(report, reference, found, pictures))
    storage.write(layout.batch(batch, layout.REPORT_JSON), report.to_json())
    return report


def measure_drift(reference: Distributions, found: Distributions, rules: EvaluationSettings) -> list[Drift]:
    """Every drift that can be measured: labels, predictions, and each image statistic that both sides have.

    Raises ``DataError`` where there is a limit and nothing to measure: silence would pass for "no drift".
    """
    images = numeric_drift(reference.statistics, found.statistics, rules.max_image_drift)
    if rules.max_image_drift is not None and not images:
        raise DataError("evaluation.max_image_drift is set, but no image of the batch or its window could be measured")
    return [
        label_drift("labels", reference.labels, found.labels, rules.max_label_drift),
        label_drift("predictions", reference.predicted, found.predicted, rules.max_prediction_drift),
        *images,
    ]


def _predictions(storage: Storage, batch: str) -> Predictions:
    try:
        predictions = read_predictions(storage, batch)
    except ValidationError as error:
        raise DataError(f"the record of the predictions of batch {batch} is damaged: run `predict` again") from error
    if predictions is None:
        raise NotFoundError(f"batch {batch} has no finished predictions in {storage.root}: run `predict` first")
    return predictions


def _inputs(storage: Storage, settings: Settings, batch: str, version: int) -> str:
    """SHA-256 that identifies what is evaluated and how: the version, the settings, and the files' generations."""
    files = [layout.batch(batch, layout.MANIFEST), *prediction_files(storage, batch)]
    parts = [
        str(version),
        settings.evaluation.model_dump_json(),
        settings.data.model_dump_json(),
        *(f"{name} {storage.stat(name).generation}" for name in files),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _finished(storage: Storage, batch: str, inputs: str) -> EvaluationReport | None:
    try:
        report = EvaluationReport.from_json(storage.read(layout.batch(batch, layout.REPORT_JSON)))
    except (NotFoundError, ValidationError):
        return None
    return report if report.inputs == inputs else None
