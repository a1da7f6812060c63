"""Puts the report's parts into one page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ml.evaluation.records import ClassScore, DriftDistance, EvaluationReport
from ml.evaluation.reference import Distributions
from ml.evaluation.report.accuracy_charts import accuracy_by_class, metric_strip
from ml.evaluation.report.confusion_chart import confusion_matrix
from ml.evaluation.report.drift_charts import histograms, label_shares
from ml.evaluation.report.labels import percent, shown
from ml.records import Verdict

_HERE = Path(__file__).parent
_PRIORITIES = 40

#: What a verdict means for who reads the report, and the mood its banner is painted in.
_VERDICTS = {
    Verdict.PASS: ("good", "Good enough", "The release stays; the batch is archived."),
    Verdict.DEGRADED: ("bad", "Degraded", "The batch becomes training data, and a new candidate is trained."),
    Verdict.DRIFTED: ("warn", "Drifted", "The batch becomes training data, and a new candidate is trained."),
    Verdict.INSUFFICIENT_DATA: ("none", "Not enough data", "No verdict on the model; the samples join the next batch."),
}


def render(
    report: EvaluationReport, reference: Distributions, found: Distributions, pictures: Sequence[bytes | None]
) -> bytes:
    """The report as one HTML file (UTF-8) without scripts and without any request.

    ``reference`` and ``found`` are the distributions of the training window and of the batch; ``pictures`` are PNGs of
    ``report.mistakes``, None where there is no picture. The same input gives the same bytes.
    """
    # Names come from outside: every value is escaped, only the charts and the style sheet below are markup.
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(percent=percent, shown=shown)
    mood, title, consequence = _VERDICTS[report.verdict]
    priorities = _by_priority(report.classes)
    page = environment.get_template(
        "page.html.jinja"
    ).render(
        report=report,
        style=Markup((_HERE / "style.css").read_text("utf-8")),  # noqa: S704 - our own file
        mood=mood,
        title=title,
        consequence=consequence,
        strip=metric_strip(report.metric),
        confusion=confusion_matrix(report),
        classes=accuracy_by_class(report),
        priorities=priorities[:_PRIORITIES],
        highest=max((score.priority or 0 for score in priorities), default=0),
        all_priorities=len(priorities),
        drifts=sorted(report.drift, key=lambda drift: (drift.limit is None, -drift.value)),
        mistakes=list(zip(report.mistakes, map(_data_uri, pictures), strict=True)),
        labels=label_shares("true labels", reference.labels, found.labels),
        predictions=label_shares("predictions", reference.predicted, found.predicted),
        histograms=histograms(
            [one for one in report.drift if one.distance is DriftDistance.JENSEN_SHANNON],
            reference.statistics,
            found.statistics,
        ),
    )
    return page.encode("utf-8", "replace")


def _by_priority(classes: list[ClassScore]) -> list[ClassScore]:
    scored = [score for score in classes if score.priority is not None]
    return sorted(scored, key=lambda score: (-(score.priority or 0), score.label))


def _data_uri(picture: bytes | None) -> str | None:
    return None if picture is None else f"data:image/png;base64,{base64.b64encode(picture).decode()}"
