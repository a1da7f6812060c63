"""Puts the report's parts into one page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ml.evaluation.judging import Case
from ml.evaluation.records import ClassScore, DriftDistance, EvaluationReport
from ml.evaluation.reference import Distributions
from ml.evaluation.report.confusion_chart import confusion_matrix
from ml.evaluation.report.drift_charts import histograms, label_shares
from ml.evaluation.report.labels import opening, shown
from ml.evaluation.report.numbers import counted, percent
from ml.evaluation.report.score_charts import metric_strip, score_by_class
from ml.evaluation.verdict import format_p
from ml.kinds.kind import Words
from ml.records import Verdict

_HERE = Path(__file__).parent
_PRIORITIES = 40

#: What a verdict means for who reads the report, and the mood its banner is painted in.
_VERDICTS = {
    Verdict.PASS: ("good", "Good enough", "The release stays; the batch is archived."),
    Verdict.DEGRADED: ("bad", "Degraded", "The batch becomes training data, and a new candidate is trained."),
    Verdict.DRIFTED: ("warn", "Drifted", "The batch becomes training data, and a new candidate is trained."),
    Verdict.INSUFFICIENT_DATA: (
        "none",
        "Not enough data",
        "No verdict on the model; the samples join the next batch, but for those that are left out.",
    ),
}


def render(
    report: EvaluationReport, words: Words, reference: Distributions, found: Distributions, cases: Sequence[Case]
) -> bytes:
    """The report as one HTML file (UTF-8) without scripts and without any request.

    ``words`` are the kind's, ``reference`` and ``found`` the distributions of the training window and of the batch;
    ``cases`` show what is in ``report.worst``. The same input gives the same bytes.
    """
    # Names come from outside: every value is escaped, only the charts and the style sheet below are markup.
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters.update(percent=percent, shown=shown, counted=counted, opening=opening, data_uri=_data_uri)
    environment.filters["p"] = format_p
    mood, title, consequence = _VERDICTS[report.verdict]
    priorities = _by_priority(report.classes)
    page = environment.get_template(
        "page.html.jinja"
    ).render(
        report=report,
        words=words,
        style=Markup((_HERE / "style.css").read_text("utf-8")),  # noqa: S704 - our own file
        mood=mood,
        title=title,
        consequence=consequence,
        strip=metric_strip(report.metric),
        confusion=confusion_matrix(report),
        classes=score_by_class(report, words),
        counted_in_all=sum(score.count for score in report.classes),
        priorities=priorities[:_PRIORITIES],
        highest=max((score.priority or 0 for score in priorities), default=0),
        all_priorities=len(priorities),
        drifts=sorted(report.drift, key=lambda drift: (drift.limit is None, -drift.value)),
        cases=cases,
        most_pictures=max((len(case.pictures) for case in cases), default=0),
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


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
