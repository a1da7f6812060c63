"""The report's charts of accuracy and confusion. What is too much to read is capped, and the caption says so."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from ml.evaluation.records import ClassScore, EvaluationReport, Metric
from ml.evaluation.report.drawing import BAD, BATCH, GOOD, INK, LINE, MUTED, SURFACE, bare, chart_style, drawn
from ml.evaluation.report.labels import percent, shown

_MATRIX = 20
_CLASSES = 30
_LONGEST = 16


@dataclass(frozen=True)
class Chart:
    svg: Markup
    caption: str


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
        return drawn(figure, f"{metric.name} {percent(metric.value)} against {percent(metric.threshold)}")


def confusion_matrix(report: EvaluationReport) -> Chart | None:
    """True labels in rows, predicted ones in columns, coloured by their share of the row."""
    totals = {score.label: score.count for score in report.classes if score.count}
    if not totals:
        return None
    known = [*totals, *sorted({label for row in report.confusion.values() for label in row} - set(totals))]
    rows, columns, cells = _capped(report.confusion, known, totals)
    crowded = max(len(rows), len(columns)) > 12
    cell = 0.34 if crowded else 0.46
    with chart_style("confusion"):
        figure = Figure(figsize=(max(len(columns), 3) * cell + 1.2, max(len(rows), 3) * cell + 0.8))
        axes = figure.add_subplot()
        for y, row in enumerate(rows):
            total = sum(cells.get((row, column), 0) for column in columns)
            for x, column in enumerate(columns):
                count = cells.get((row, column), 0)
                share = count / total if total else 0
                mixed = row is None or column is None
                colour = MUTED if mixed else GOOD if row == column else BAD
                axes.add_patch(Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, fc=LINE, alpha=0.28, lw=0))
                if not count:
                    continue
                axes.add_patch(Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, fc=colour, alpha=0.18 + 0.6 * share, lw=0))
                axes.text(x + 0.5, y + 0.5, _short(count), ha="center", va="center", color=INK,
                          fontsize=6.5 if crowded else 8.5)  # fmt: skip
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0), xlabel="predicted", ylabel="true label", aspect="equal")
        axes.set_xticks([x + 0.5 for x in range(len(columns))], [_name(c) for c in columns])
        axes.set_yticks([y + 0.5 for y in range(len(rows))], [_name(r) for r in rows])
        if max(len(_name(column)) for column in columns) > 3:
            axes.tick_params(axis="x", labelrotation=90)
        axes.xaxis.set_ticks_position("top")
        axes.xaxis.set_label_position("top")
        axes.tick_params(axis="x", labelcolor=INK)
        bare(axes)
        svg = drawn(figure, "confusion matrix")
    caption = "Rows are true labels, columns what was predicted; colour is the share of the row."
    if None in rows or None in columns:
        caption += f" The {_MATRIX} labels with the most mistakes of {len(known):,}; the rest together as “others”."
    return Chart(svg, caption)


def accuracy_by_class(report: EvaluationReport) -> Chart | None:
    """Accuracy of each class with its interval, the worst on top, with the threshold."""
    scored = sorted((s for s in report.classes if s.accuracy is not None), key=lambda s: (s.accuracy or 0, -s.count))
    if not scored:
        return None
    worst = scored[:_CLASSES]
    with chart_style("classes"):
        figure = Figure(figsize=(5.2, 0.27 * len(worst) + 0.9))
        axes = figure.add_subplot()
        axes.axvline(report.metric.threshold, color=INK, lw=1, ls=(0, (4, 3)))
        for y, score in enumerate(worst):
            _draw_class(axes, y, score, report.metric.threshold)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(worst) - 0.4, -0.6))
        axes.set_yticks(range(len(worst)), [_class_name(score) for score in worst])
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        bare(axes)
        svg = drawn(figure, "accuracy by class")
    level = percent(report.metric.confidence, 0)
    caption = f"Bars are {level} Wilson intervals; the dashed line is the threshold for all classes together."
    if len(worst) < len(scored):
        caption += f" The {len(worst)} least accurate of {len(scored):,} classes."
    return Chart(svg, caption)


def _draw_class(axes: object, y: int, score: ClassScore, threshold: float) -> None:
    assert score.accuracy is not None
    colour = BATCH if score.accuracy >= threshold else BAD
    axes.plot([score.interval.low, score.interval.high], [y, y], color=colour, lw=5, alpha=0.3,
              solid_capstyle="round")  # type: ignore[attr-defined]  # fmt: skip
    axes.plot([score.accuracy], [y], "o", color=colour, ms=5.5, mec=SURFACE, mew=1)  # type: ignore[attr-defined]


def _capped(
    confusion: dict[str, dict[str, int]], known: list[str], totals: dict[str, int]
) -> tuple[list[str | None], list[str | None], dict[tuple[str | None, str | None], int]]:
    """Rows, columns and counts of the matrix; None stands for all the labels beyond the cap together."""
    kept = set(known)
    if len(known) > _MATRIX:
        mistakes = dict.fromkeys(known, 0)
        for label, row in confusion.items():
            for predicted, count in row.items():
                if label != predicted:
                    mistakes[label] += count
                    mistakes[predicted] += count
        kept = set(sorted(known, key=lambda label: -mistakes[label])[:_MATRIX])
    cells: dict[tuple[str | None, str | None], int] = {}
    for label, row in confusion.items():
        for predicted, count in row.items():
            pair = (label if label in kept else None, predicted if predicted in kept else None)
            cells[pair] = cells.get(pair, 0) + count
    rows: list[str | None] = [label for label in known if label in kept and label in totals]
    columns: list[str | None] = [
        label for label in known if label in kept and any((r, label) in cells for r in [*totals, None])
    ]
    if any(row is None for row, _ in cells):
        rows.append(None)
    if any(column is None for _, column in cells):
        columns.append(None)
    return rows, columns, cells


def _name(label: str | None) -> str:
    return "others" if label is None else shown(label, _LONGEST)


def _class_name(score: ClassScore) -> str:
    return f"{shown(score.label, _LONGEST)}{'' if score.seen else ' (never seen)'} · {score.count:,}"


def _short(count: int) -> str:
    if count < 10_000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 10_000_000 else f"{count / 1_000_000:.0f}M"
