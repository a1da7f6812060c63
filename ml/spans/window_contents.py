"""What a window holds of its spans: each content once, as the newest span has it. Reads no example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ml import layout
from ml.records import ClassCount, Span
from ml.spans.assignment import Split
from ml.spans.contents import Marks, Superseded, superseded
from ml.spans.damage import DamagedSpanError
from ml.spans.documents import Columns, read_columns, read_contents
from ml.spans.truths import LeftOut
from ml.storage import Storage


@dataclass(frozen=True, slots=True)
class WindowContents:
    """How many examples of each class a window has in each of its splits, and how many it leaves out of its spans.

    ``spans`` are the classes span by span: a class that is in no example isn't named.
    """

    train: int
    eval: int
    spans: Mapping[int, Mapping[str, ClassCount]] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def classes(self) -> dict[str, ClassCount]:
        """In how many examples of each split each class occurs, sorted by its name."""
        train: Counter[str] = Counter()
        evaluated: Counter[str] = Counter()
        for counts in self.spans.values():
            train.update({name: count.train for name, count in counts.items()})
            evaluated.update({name: count.eval for name, count in counts.items()})
        return {name: ClassCount(train=train[name], eval=evaluated[name]) for name in sorted({*train, *evaluated})}


def superseded_in(storage: Storage, window: Sequence[int], advice: str) -> dict[int, dict[Split, Superseded]]:
    """What each span of the window leaves out, by its number. A window of one span leaves out nothing, and no file is
    read. Raises ``DamagedSpanError`` with ``advice``."""
    if len(window) < 2:
        return {}
    contents = {number: read_contents(storage, number, advice) for number in sorted(window)}
    found: dict[int, dict[Split, Superseded]] = {number: {} for number in contents}
    for split in Split:
        one_by_one = superseded([splits[split] for splits in contents.values()])
        for number, of_span in zip(contents, one_by_one, strict=True):
            found[number][split] = of_span
    return found


def window_contents(
    storage: Storage, spans: Sequence[Span], advice: str, *, strata_are_classes: bool
) -> WindowContents:
    """The contents of the window of these spans. Raises ``DamagedSpanError`` with ``advice``.

    ``strata_are_classes``: whether the one class of an example is its stratum, as a classifier's is. If not, examples
    that are left out still count for their classes.
    """
    classes: dict[int, Mapping[str, ClassCount]] = {span.span: span.classes for span in spans}
    sizes = {Split.TRAIN: sum(span.train for span in spans), Split.EVAL: sum(span.eval for span in spans)}
    left_out = LeftOut()
    for number, splits in superseded_in(storage, list(classes), advice).items():
        for split, found in splits.items():
            sizes[split] -= found.counts.total
            left_out += found.counts
        if strata_are_classes and any(found.counts.total for found in splits.values()):
            columns = read_columns(storage, number, advice)
            marks = rows_left_out(number, splits, len(columns["label"]), advice)
            classes[number] = _without(classes[number], columns, marks)
    return WindowContents(train=sizes[Split.TRAIN], eval=sizes[Split.EVAL], spans=classes, left_out=left_out)


def rows_left_out(span: int, splits: Mapping[Split, Superseded], rows: int, advice: str) -> Marks:
    """Marks the rows of the span's statistics whose examples are left out. Raises ``DamagedSpanError`` with ``advice``
    if there aren't as many rows as examples."""
    marks = np.concatenate([splits[Split.TRAIN].marks, splits[Split.EVAL].marks])
    if len(marks) != rows:
        why = f"it has {rows} rows, and {layout.SPAN_SAMPLES} names {len(marks)} examples"
        raise DamagedSpanError(span, layout.SPAN_STATISTICS, why, advice)
    return marks


def _without(classes: Mapping[str, ClassCount], columns: Columns, marks: Marks) -> dict[str, ClassCount]:
    gone = Counter(zip(columns["label"][marks].tolist(), columns["split"][marks].tolist(), strict=True))
    left = {
        name: ClassCount(
            train=count.train - gone[name, Split.TRAIN.value], eval=count.eval - gone[name, Split.EVAL.value]
        )
        for name, count in classes.items()
    }
    return {name: count for name, count in left.items() if count.train or count.eval}
