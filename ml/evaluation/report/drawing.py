"""Charts as inline SVG that takes its colours from the page, so that one drawing suits light and dark screens.

A chart is drawn in the placeholder colours below; :func:`drawn` puts the page's CSS variables in their place. Text
stays text, so labels in any script are shown by the reader's fonts.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#000001"
MUTED = "#000002"
LINE = "#000003"
BATCH = "#000004"
REFERENCE = "#000005"
GOOD = "#000006"
BAD = "#000007"
SURFACE = "#000008"

_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    BATCH: "var(--batch)",
    REFERENCE: "var(--reference)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    SURFACE: "var(--surface)",
}
_PLACEHOLDER = re.compile("|".join(_VARIABLES))

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Chart:
    svg: Markup
    caption: str


@contextmanager
def chart_style(name: str) -> Iterator[None]:
    """Within it, figures are made in the report's style; ``name`` keeps the ids in their SVG apart from others'."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def drawn(figure: Figure, description: str) -> Markup:
    """The figure as an ``<svg>`` element, the same each time, that tells screen readers ``description``."""
    out = io.StringIO()
    with warnings.catch_warnings():
        # Fonts only measure the text here; the reader's own fonts show it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.04, metadata=metadata)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = _PLACEHOLDER.sub(lambda match: _VARIABLES[match.group()], svg)
    return Markup(svg.replace("<svg", Markup('<svg role="img" aria-label="{}"').format(description), 1))  # noqa: S704


def bare(axes: Axes, *, keep: str = "") -> None:
    """Takes the frame and the tick marks off ``axes``, but for the sides in ``keep`` (such as "bottom")."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in keep.split())
    axes.tick_params(length=0)
