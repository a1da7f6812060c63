"""Copies the examples of spans into one split of a run, each content once, and verifies what it copies."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

import tensorflow as tf
from tfx.dsl.io import fileio

from ml import layout
from ml.errors import NotFoundError
from ml.spans.assignment import Split
from ml.spans.contents import Contents, Marks, Superseded, contents_of, superseded
from ml.spans.damage import TRAIN_WITHOUT, DamagedSpanError, damage_in
from ml.spans.shards import read_framed, write_framed
from ml.tfx.window_files import SpanFiles, WindowFiles


@dataclass(frozen=True, slots=True)
class Part:
    """What one span gives to a split: the examples of ``files`` on the span's side ``side``, but for those that
    ``superseded`` marks. ``required``: without it the run can't go on."""

    files: SpanFiles
    side: Split
    superseded: Superseded
    required: bool

    @property
    def examples(self) -> int:
        return len(self.superseded.marks) - self.superseded.counts.total


def parts_of(window: WindowFiles) -> dict[str, list[Part]]:
    """The parts of the splits ``train``, ``eval`` and ``held_out``, in the order of the spans.

    Of equal contents in several spans of a split the newest counts, whose truth people gave last. A span outside of
    the window whose contents can't be read is left out. Raises ``DamagedSpanError`` for one within.
    """
    contents: dict[int, Mapping[Split, Contents]] = {}
    for files in window.spans:
        try:
            contents[files.span] = _contents(files)
        except DamagedSpanError as error:
            _leave_out(error, required=files.span in window.window)

    def parts(numbers: Sequence[int], side: Split) -> list[Part]:
        spans = [files for files in window.of(numbers) if files.span in contents]
        older = superseded([contents[files.span][side] for files in spans])
        return [
            Part(files, side, found, files.span in window.window) for files, found in zip(spans, older, strict=True)
        ]

    return {
        "train": parts(window.window, Split.TRAIN),
        "eval": parts(window.window, Split.EVAL),
        "held_out": parts(window.comparison, Split.EVAL),
    }


def write_split(parts: Sequence[Part], folder: str) -> int:
    """Writes the parts' examples to files in ``folder``, in order; their number.

    A file of a span from which nothing is left out is the same, byte for byte. Raises ``DamagedSpanError`` for a file
    that isn't what was published; a part that isn't required is then left out as a whole.
    """
    fileio.makedirs(folder)
    total = sum(len(part.files.names(part.side)) for part in parts)
    targets = (f"{folder}/data_tfrecord-{number:05d}-of-{total:05d}.gz" for number in itertools.count())
    written = 0
    for part in parts:
        own = list(itertools.islice(targets, len(part.files.names(part.side))))
        try:
            written += _write_part(part, own)
        except DamagedSpanError as error:
            _leave_out(error, required=part.required)
            for target in filter(fileio.exists, own):
                fileio.remove(target)
    return written


def _write_part(part: Part, targets: Sequence[str]) -> int:
    span, marks, read = part.files.span, part.superseded.marks, 0
    for name, target in zip(part.files.names(part.side), targets, strict=True):
        uri = f"{part.files.folder}/{name}"
        with damage_in(span, name), _open(uri) as source, fileio.open(target, "wb") as output:
            if marks.any():
                read += _copy_kept(source, output, marks[read:])
            else:
                read += _copy(source, output)
    if read != len(marks):
        why = f"it has {read} examples, and {layout.SPAN_SAMPLES} names {len(marks)}"
        raise DamagedSpanError(span, f"folder {part.side.value}", why, TRAIN_WITHOUT)
    return part.examples


class _Copying:
    """A stream to read from, which writes to ``target`` whatever is read."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source = source
        self._target = target

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._target.write(data)
        return data


def _copy(source: BinaryIO, target: BinaryIO) -> int:
    """Copies the file as it is; the number of its examples."""
    return sum(1 for _ in read_framed(cast(BinaryIO, _Copying(source, target))))


def _copy_kept(source: BinaryIO, target: BinaryIO, left_out: Marks) -> int:
    """Writes the file again without the marked examples; the number of those that it holds."""
    read = 0

    def kept() -> Iterator[bytes]:
        nonlocal read
        for framed in read_framed(source):
            if read >= len(left_out) or not left_out[read]:
                yield framed
            read += 1

    write_framed(kept(), target)
    return read


def _contents(files: SpanFiles) -> Mapping[Split, Contents]:
    with damage_in(files.span, layout.SPAN_SAMPLES), _open(f"{files.folder}/{layout.SPAN_SAMPLES}") as stream:
        return contents_of(stream)


@contextlib.contextmanager
def _open(uri: str) -> Iterator[BinaryIO]:
    """The file for reading. Raises ``NotFoundError``, as a storage does."""
    try:
        with fileio.open(uri, "rb") as stream:
            yield cast(BinaryIO, stream)
    except (fileio.NotFoundError, tf.errors.NotFoundError) as error:  # the second one from the first read
        raise NotFoundError(f"{uri} is missing") from error


def _leave_out(error: DamagedSpanError, *, required: bool) -> None:
    if required:
        raise error
    print(f"{error.damage}: left out of the comparison", file=sys.stderr, flush=True)  # noqa: T201
