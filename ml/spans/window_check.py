"""Whether a model can be trained and evaluated on a window, decided before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from ml import windows
from ml.errors import DataError
from ml.spans.damage import TRAIN_WITHOUT
from ml.spans.documents import read_span
from ml.spans.window_contents import WindowContents, window_contents
from ml.storage import Storage

#: How many classes a message names.
_NAMED = 5
#: How many spans are tried as an addition to the window.
_TRIED = 10


def check_window(storage: Storage, window: Sequence[int], *, classes_from_train: bool) -> WindowContents:
    """The contents of the window.

    ``classes_from_train``: as :attr:`ml.kinds.kind.Kind.classes_from_train`. Raises ``DataError`` that says which split
    or class lacks what, and what to do; ``DamagedSpanError`` for a span whose records can't be read.
    """
    found = _contents(storage, window, classes_from_train)
    lack = lacking(found, classes_from_train=classes_from_train)
    if lack is None:
        return found
    way_out = "collect new samples of what is missing and prepare a span of them"
    if addition := _addition(storage, window, classes_from_train):
        wider = windows.format(sorted([*window, addition]))
        way_out = f"train with --window {wider}, or {way_out}"
    raise DataError(f"window {windows.format(window)} {lack}: {way_out}")


def lacking(window: WindowContents, *, classes_from_train: bool) -> str | None:
    """What a window lacks that a model could be trained and evaluated on it, after "the window …"; None: nothing."""
    for split, examples in (("train", window.train), ("eval", window.eval)):
        if not examples:
            return f"has no {split} examples"
    if not classes_from_train:
        return None
    classes = window.classes
    trained = [name for name, count in classes.items() if count.train]
    only_evaluated = [name for name, count in classes.items() if count.eval and not count.train]
    if only_evaluated:
        places = [
            f"span {number}"
            for number, of_span in window.spans.items()
            if any(name in of_span and of_span[name].eval for name in only_evaluated)
        ]
        return f"has eval examples of {_classes(only_evaluated)} ({', '.join(places)}), and no train examples"
    if len(trained) == 1:
        return f"has train examples of {_classes(trained)} only, and a model needs two classes at least"
    return None


def _classes(names: Sequence[str]) -> str:
    named = ", ".join(map(repr, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    return f"the class {named}" if len(names) == 1 else f"the classes {named}"


def _contents(storage: Storage, window: Sequence[int], classes_from_train: bool) -> WindowContents:
    spans = [read_span(storage, number) for number in window]
    return window_contents(storage, spans, TRAIN_WITHOUT, strata_are_classes=classes_from_train)


def _addition(storage: Storage, window: Sequence[int], classes_from_train: bool) -> int | None:
    """The newest span with which the window would lack nothing."""
    others = [number for number in reversed(windows.complete_spans(storage)) if number not in window]
    for number in others[:_TRIED]:
        try:
            found = _contents(storage, sorted([*window, number]), classes_from_train)
        except DataError:  # it can't help either
            continue
        if lacking(found, classes_from_train=classes_from_train) is None:
            return number
    return None
