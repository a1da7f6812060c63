"""The report's charts of the metric, and of the score of each class."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ml.evaluation.records import ClassScore, EvaluationReport, Metric
from ml.evaluation.report.drawing import BAD, BATCH, GOOD, INK, SURFACE, Chart, bare, chart_style, drawn
from ml.evaluation.report.labels import shown
from ml.evaluation.report.numbers import counted, percent
from ml.kinds.kind import Words

_CLASSES = 30


def metric_strip(metric: Metric) -> Markup:
    """The metric with its interval on one line, against the threshold."""
    if metric.value is None:
        return Markup("")
    low = max(0.0, min(metric.interval.low, metric.threshold) - 0.06)
    high = min(1.0, max(metric.interval.high, metric.threshold) + 0.06)
    colour = GOOD if metric.value >= metric.threshold else BAD
    with chart_style("metric"):
        figure = Figure(figsize=(7.6, 0.85))
        axes = figure.add_axes((0.02, 0.4, 0.96, 0.5))
        axes.set(xlim=(low - 0.004, high + 0.004), ylim=(-1, 1), yticks=[])
        axes.axvspan(low - 0.004, metric.threshold, color=BAD, alpha=0.08, lw=0)
        axes.axvspan(metric.threshold, high + 0.004, color=GOOD, alpha=0.08, lw=0)
        axes.axvline(metric.threshold, color=INK, lw=1.2, ls=(0, (4, 3)))
        axes.plot([metric.interval.low, metric.interval.high], [0, 0], color=colour, lw=9, alpha=0.35,
                  solid_capstyle="round")  # fmt: skip
        axes.plot([metric.value], [0], "o", color=colour, ms=9, mec=SURFACE, mew=1.5)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0 if high - low > 0.05 else 1))
        bare(axes)
        return drawn(figure, f"{metric.called} {percent(metric.value)} against {percent(metric.threshold)}")


def score_by_class(report: EvaluationReport, words: Words) -> Chart | None:
    """The score of each class with its interval, the worst on top, with the threshold."""
    scored = [(score.score, score) for score in report.classes if score.score is not None]
    scored.sort(key=lambda pair: (pair[0], -pair[1].count))
    if not scored:
        return None
    worst = scored[:_CLASSES]
    with chart_style("classes"):
        figure = Figure(figsize=(4.2, 0.36 * len(worst) + 0.7))
        axes = figure.add_subplot()
        axes.axvline(report.metric.threshold, color=INK, lw=1, ls=(0, (4, 3)))
        for y, (value, score) in enumerate(worst):
            _draw_class(axes, y, score, value, report.metric.threshold)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(worst) - 0.4, -0.6))
        axes.set_yticks(range(len(worst)), [_class_name(score) for _, score in worst])
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        bare(axes)
        svg = drawn(figure, f"{words.score} by class")
    caption = "The dashed line is the threshold for all classes together."
    if any(score.interval is not None for _, score in worst):
        caption = f"Bars are {percent(report.metric.confidence, 0)} intervals; the{caption[3:]}"
    if len(worst) < len(scored):
        caption += f" The {len(worst)} worst of {len(scored):,} classes."
    return Chart(svg, caption)


def _draw_class(axes: Axes, y: int, score: ClassScore, value: float, threshold: float) -> None:
    colour = BATCH if value >= threshold else BAD
    if score.interval is not None:
        ends = [score.interval.low, score.interval.high]
        axes.plot(ends, [y, y], color=colour, lw=6, alpha=0.3, solid_capstyle="round")
    axes.plot([value], [y], "o", color=colour, ms=7, mec=SURFACE, mew=1)


def _class_name(score: ClassScore) -> str:
    return f"{shown(score.label, 16)}{'' if score.seen else ' (never seen)'} · {counted(score.count)}"
