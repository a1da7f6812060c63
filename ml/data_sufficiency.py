"""Decides whether there are enough new samples for an evaluation. Pure: counts in, an answer with its reason out.

``ml.inbox`` counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ml.labels import normal_label
from ml.pairing import in_words
from ml.settings_sections import EvaluationSettings

#: How many classes there have to be, at least, where no release tells which there are.
FEWEST_CLASSES = 2

#: How many of the classes that lack samples a message names.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an evaluation waits for: ``samples`` in all, and ``per_class`` (0: not checked) of each class.

    ``classes`` are the ones that the serving release knows; None before the first release, where each class in the
    inbox counts, and there have to be :data:`FEWEST_CLASSES`. Their names are in their one form (see ``ml.labels``).
    """

    samples: int
    per_class: int = 0
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Stock:
    """The new samples in the inbox: ``samples`` in all and for each class, neither counted further than needed.

    ``per_class`` holds the classes of which there are any; it is empty where none is checked. ``waiting`` counts the
    files without a counterpart, where there are too few samples.
    """

    samples: int
    per_class: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0


def requirement(settings: EvaluationSettings, released_classes: Sequence[str] | None) -> Requirement:
    """What ``settings`` ask for. Never fewer samples than a verdict needs: a batch without a verdict is returned to the
    inbox, which would be ready again at once."""
    return Requirement(
        samples=max(settings.min_samples, settings.min_evaluated),
        per_class=settings.min_samples_per_class,
        classes=None if released_classes is None else tuple(dict.fromkeys(map(normal_label, released_classes))),
    )


def shortage(needed: Requirement, stock: Stock) -> str | None:
    """What is missing, in one line for people; None where there is enough."""
    missing = []
    if stock.samples < needed.samples:
        waiting = f", where {in_words(stock.waiting)}" if stock.waiting else ""
        missing.append(f"{stock.samples:,} of {needed.samples:,} samples in the inbox{waiting}")
    if needed.per_class:
        missing += _class_shortage(needed, stock)
    return "; ".join(missing) or None


def _class_shortage(needed: Requirement, stock: Stock) -> list[str]:
    wanted = sorted(stock.per_class) if needed.classes is None else needed.classes
    lacking = {name: needed.per_class - stock.per_class.get(name, 0) for name in wanted}
    told = [f"class {name!r} lacks {count:,}" for name, count in lacking.items() if count > 0]
    if len(told) > _NAMED:
        told = [*told[:_NAMED], f"{len(told) - _NAMED:,} more classes lack some"]
    if told:
        told = [f"{', '.join(told)} of {needed.per_class:,}"]
    if needed.classes is None and len(wanted) < FEWEST_CLASSES:
        told.append(f"samples of {len(wanted)} class{'' if len(wanted) == 1 else 'es'}, and at least 2 are needed")
    return told
