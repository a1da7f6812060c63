"""Evaluates the release that predicted a batch: ``evaluation.json`` for machines, ``evaluation.html`` for people."""

from __future__ import annotations

import hashlib
from itertools import islice

from pydantic import ValidationError

from ml import layout
from ml.batches import read_batch, read_lines, write_lines, write_refusals
from ml.errors import DataError, NotFoundError
from ml.evaluation.drift import measure_drift
from ml.evaluation.known import Known
from ml.evaluation.predictions import finished_predictions, prediction_files
from ml.evaluation.records import EvaluationReport, LeftOut
from ml.evaluation.reference import read_reference
from ml.evaluation.report import render
from ml.evaluation.verdict import Rules, decide
from ml.kinds import kind_of
from ml.records import BatchState, Refusal, Verdict, now
from ml.releases import read_release
from ml.settings import Settings
from ml.storage import Storage

#: How many of the samples that prove nothing the report names.
_NAMED = 20


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
    left_out = _leave_out(storage, batch, release.version, judgement.known, decision.verdict)
    report = EvaluationReport(
        pipeline=settings.name,
        batch=batch,
        version=release.version,
        window=release.window,
        created=now(),
        inputs=inputs,
        verdict=decision.verdict,
        reasons=[*decision.reasons, *_unread(judgement.known)],
        metric=metric,
        further=judgement.further,
        counts=counts,
        unit=kind.words.unit,
        classes=judgement.classes,
        confusion=judgement.confusion,
        drift=drift,
        failures=judgement.failures,
        worst=list(judgement.worst),
        left_out=left_out,
    )
    page = render(report, kind.words, reference, judgement.found, judge.cases(storage, batch, report.worst))
    storage.write(layout.batch(batch, layout.REPORT_HTML), page)
    storage.write(layout.batch(batch, layout.REPORT_JSON), report.to_json())
    return report


def _leave_out(storage: Storage, batch: str, version: int, known: Known | None, verdict: Verdict) -> list[LeftOut]:
    """Names the samples that prove nothing, all in the batch's ``left_out.jsonl``; returns the first ones.

    Without a verdict on the model they become refusals of the step "known", so that they go to quarantine when the
    batch is returned: in the inbox they would make up the next batch, which would get no verdict either, for ever.
    """
    if known is None:
        return []
    name = layout.batch(batch, layout.LEFT_OUT)
    write_lines(storage, name, known.left_out(storage, batch, version))
    returned = verdict is Verdict.INSUFFICIENT_DATA and read_batch(storage, batch).state is BatchState.OPEN
    refusals = read_lines(storage, name, Refusal)
    write_refusals(storage, batch, "known", refusals if returned else ())
    return [LeftOut(object=one.object, reason=one.reason) for one in islice(read_lines(storage, name, Refusal), _NAMED)]


def _unread(known: Known | None) -> list[str]:
    if known is None or not known.unread:
        return []
    spans = ", ".join(map(str, known.unread))
    return [f"Whether samples are in the training window isn't known: span {spans} has no list of its samples."]


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
