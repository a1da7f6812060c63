"""Which files of which spans a run reads, as one value that a component takes as a string."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Sequence

from pydantic import Field

from ml import layout
from ml.errors import NotFoundError
from ml.records import Record
from ml.spans.assignment import Split
from ml.storage import ObjectInfo, Storage


class SpanFiles(Record):
    """A span's files. ``folder`` is its URI; ``train`` and ``eval`` are names below it, in order of the examples."""

    span: int
    folder: str
    train: list[str]
    eval: list[str]

    def names(self, split: Split) -> list[str]:
        return self.train if split is Split.TRAIN else self.eval


class WindowFiles(Record):
    """``window`` are the numbers of the spans that the run trains and is evaluated on; ``comparison`` those whose eval
    examples its model and the serving one are compared on. ``spans`` has the files of both, in order of number."""

    window: list[int] = Field(default_factory=list)
    comparison: list[int] = Field(default_factory=list)
    spans: list[SpanFiles] = Field(default_factory=list)

    def of(self, numbers: Iterable[int]) -> list[SpanFiles]:
        wanted = set(numbers)
        return [files for files in self.spans if files.span in wanted]


def window_files(storage: Storage, window: Sequence[int], comparison: Sequence[int]) -> tuple[WindowFiles, str]:
    """The files that a run on the spans of ``window`` reads, compared on those of ``comparison``; and a hash of the
    names and generations of all of them."""
    spans: list[SpanFiles] = []
    digest = hashlib.sha256()
    digest.update(f"{sorted(window)}\0{sorted(comparison)}\0".encode())
    for number in sorted({*window, *comparison}):
        names: dict[Split, list[str]] = {split: [] for split in Split}
        for split in Split if number in window else (Split.EVAL,):
            for info in sorted(storage.list(layout.span(number, split.value)), key=lambda info: info.name):
                names[split].append(info.name.removeprefix(f"{layout.span(number)}/"))
                _add(digest, info)
        with contextlib.suppress(NotFoundError):  # the component reports it
            _add(digest, storage.stat(layout.span(number, layout.SPAN_SAMPLES)))
        folder = storage.uri(layout.span(number))
        spans.append(SpanFiles(span=number, folder=folder, train=names[Split.TRAIN], eval=names[Split.EVAL]))
    return WindowFiles(window=sorted(window), comparison=sorted(comparison), spans=spans), digest.hexdigest()


def _add(digest: hashlib._Hash, info: ObjectInfo) -> None:
    digest.update(f"{info.name}\0{info.generation}\0".encode())
