"""The report's charts of drift: shares of labels and histograms of statistics, training window against batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ml.evaluation.binning import Column
from ml.evaluation.records import Drift
from ml.evaluation.report.drawing import BAD, BATCH, LINE, REFERENCE, Chart, bare, chart_style, drawn
from ml.evaluation.report.labels import shown

_LABELS = 20
_STATISTICS = 24
_BINS = 30


def label_shares(title: str, reference: Mapping[str, float], batch: Mapping[str, float]) -> Chart | None:
    """For each label its share in the training window and in the batch, joined by a line as long as the drift."""
    window, found = _shares(reference), _shares(batch)
    labels = [*window, *(label for label in found if label not in window)]
    if not window or not found:
        return None
    apart = {label: abs(window.get(label, 0) - found.get(label, 0)) for label in labels}
    kept = set(sorted(labels, key=lambda label: -apart[label])[:_LABELS])
    rows = [label for label in labels if label in kept]
    with chart_style(title):
        figure = Figure(figsize=(4.8, 0.3 * len(rows) + 0.7))
        axes = figure.add_subplot()
        for y, label in enumerate(rows):
            ends = [window.get(label, 0), found.get(label, 0)]
            axes.plot(ends, [y, y], color=LINE, lw=3, solid_capstyle="butt", zorder=2)
        axes.plot([window.get(label, 0) for label in rows], range(len(rows)), "o", color=REFERENCE, ms=6, zorder=3)
        axes.plot([found.get(label, 0) for label in rows], range(len(rows)), "o", color=BATCH, ms=6, zorder=4)
        axes.set(ylim=(len(rows) - 0.4, -0.6))
        axes.set_xlim(left=-0.01)
        axes.set_yticks(range(len(rows)), [shown(label, 16) for label in rows])
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        bare(axes)
        svg = drawn(figure, f"shares of {title}")
    caption = f"Share of each label among {title}."
    if len(rows) < len(labels):
        caption += f" The {len(rows)} of {len(labels):,} labels that differ most."
    return Chart(svg, caption)


def histograms(drift: list[Drift], reference: Mapping[str, Column], batch: Mapping[str, Column]) -> Chart | None:
    """Small histograms of the measured statistics, both sides over the same bins, as shares of their side."""
    found = [one for one in drift if one.feature in reference and one.feature in batch]
    if not found:
        return None
    kept = {one.feature for one in sorted(found, key=lambda one: -one.value)[:_STATISTICS]}
    measured = [one for one in found if one.feature in kept]
    columns = min(3, len(measured))
    lines = -(-len(measured) // columns)
    with chart_style("histograms"):
        figure = Figure(figsize=(3.9 * columns, 2 * lines))
        for place, one in enumerate(measured, 1):
            axes = figure.add_subplot(lines, columns, place)
            sides = (reference[one.feature], batch[one.feature])
            edges = histogram_edges(*sides)
            for values, colour in zip(sides, (REFERENCE, BATCH), strict=True):
                heights = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / max(len(values), 1)
                axes.stairs(heights, edges, color=colour, fill=True, alpha=0.25, lw=0)
                axes.stairs(heights, edges, color=colour, lw=1.3)
            axes.set_title(shown(one.feature), loc="left", fontsize=9.5)
            axes.set_title(f"{one.value:.3f}", loc="right", fontsize=9, color=BAD if one.exceeded else REFERENCE)
            axes.set_yticks([])
            axes.xaxis.set_major_locator(MaxNLocator(4))
            bare(axes, keep="bottom")
        figure.tight_layout(h_pad=1.2, w_pad=1.4)
        svg = drawn(figure, "histograms of statistics")
    count = len(next(iter(batch.values())))
    caption = f"{count:,} samples of the batch, evenly chosen, against the whole window; at the right of each the "
    caption += "divergence. The outermost bars hold what is further out."
    if len(measured) < len(found):
        caption += f" The {len(measured)} of {len(found):,} statistics that differ most."
    return Chart(svg, caption)


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    return {label: amount / total for label, amount in amounts.items()} if total else {}


def histogram_edges(*sides: Column) -> npt.NDArray[np.float64]:
    """Bins over the middle 99 % of each side: a single panorama must not squeeze all other widths into one bar."""
    known = [side[np.isfinite(side)] for side in sides]
    ends = np.array(
        [np.quantile(side, (0.005, 0.995), method="nearest") for side in known if len(side)]
        or [np.array([0, 1], np.float32)]
    )
    low, high = float(ends.min()), float(ends.max())
    # One value only (all images have one size) still needs a bin around it.
    margin = 0.0 if high > low else max(abs(low) * 0.05, 0.5)
    return np.linspace(low - margin, high + margin, _BINS + 1)
