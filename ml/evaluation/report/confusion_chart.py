"""The report's confusion matrix. What is too much to read is capped, and the caption says so."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ml.evaluation.records import EvaluationReport
from ml.evaluation.report.drawing import BAD, GOOD, INK, LINE, MUTED, Chart, bare, chart_style, drawn
from ml.evaluation.report.labels import shown
from ml.evaluation.report.numbers import briefly

_LABELS = 20
_CROWDED = 12


def confusion_matrix(report: EvaluationReport) -> Chart | None:
    """True labels in rows, predicted ones in columns, coloured by their share of the row."""
    totals = {score.label: score.count for score in report.classes if score.count}
    if not totals:
        return None
    known = [*totals, *sorted({label for row in report.confusion.values() for label in row} - set(totals))]
    rows, columns, cells = _capped(report.confusion, known, totals)
    crowded = max(len(rows), len(columns)) > _CROWDED
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
                axes.text(x + 0.5, y + 0.5, briefly(count), ha="center", va="center", color=INK,
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
        caption += f" The {_LABELS} labels with the most mistakes of {len(known):,}; the rest together as “others”."
    return Chart(svg, caption)


def _capped(
    confusion: dict[str, dict[str, int]], known: list[str], totals: dict[str, int]
) -> tuple[list[str | None], list[str | None], dict[tuple[str | None, str | None], int]]:
    """Rows, columns and counts of the matrix; None stands for all the labels beyond the cap together."""
    kept = set(known)
    if len(known) > _LABELS:
        mistakes = dict.fromkeys(known, 0)
        for label, row in confusion.items():
            for predicted, count in row.items():
                if label != predicted:
                    mistakes[label] += count
                    mistakes[predicted] += count
        kept = set(sorted(known, key=lambda label: -mistakes[label])[:_LABELS])
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
    return "others" if label is None else shown(label, 16)
