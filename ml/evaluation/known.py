"""Which samples of a batch prove nothing: copies, what the release was trained on, and contradictions."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import msgspec
import numpy as np
import numpy.typing as npt

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.evaluation.contents import Contents, read_contents, short_digest
from ml.evaluation.objects import stream_entries
from ml.evaluation.records import Counts
from ml.kinds.kind import Inspector, Kind
from ml.records import Refusal, ReleaseRecord, SampleFate
from ml.settings import Settings
from ml.storage import Storage


class Standing(IntEnum):
    """What a sample proves: nothing, unless it is COUNTED.

    COPY: it shows the same as an earlier sample of the batch, with the same truth. TRAINED: it shows what the release
    was trained on, in a span of its window; what only an earlier release was trained on is evidence, since each
    training starts from scratch. CORRECTED: the same, but its truth is another than the newest one that the release was
    trained on. CONTRADICTED: it shows the same as a sample of the batch with another truth, and only
    a person can say which one is right.
    """

    COUNTED = 0
    COPY = 1
    TRAINED = 2
    CONTRADICTED = 3
    CORRECTED = 4


@dataclass(frozen=True)
class Known:
    """``standings`` and ``originals`` are by the manifest's numbers; an original is the first sample of that content.

    ``unread`` are spans of the window whose list of samples is missing: what is in them isn't known to be trained on.
    """

    standings: npt.NDArray[np.int8]
    originals: npt.NDArray[np.int64]
    unread: tuple[int, ...] = ()

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        mask: npt.NDArray[np.bool_] = self.standings == Standing.COUNTED
        return mask

    def count(self, standing: Standing) -> int:
        return int(np.count_nonzero(self.standings == standing))

    def added_to(self, counts: Counts) -> Counts:
        """``counts``, of the counted samples alone, with the others."""
        others = {
            "copies": self.count(Standing.COPY),
            "trained": self.count(Standing.TRAINED) + self.count(Standing.CORRECTED),
            "contradicted": self.count(Standing.CONTRADICTED),
        }
        samples = counts.samples + sum(others.values())
        return Counts.model_validate({**counts.model_dump(), **others, "samples": samples})

    def left_out(self, storage: Storage, batch: str, version: int) -> Iterator[Refusal]:
        """Every sample that isn't counted, with the reason, in the manifest's order."""
        copies = np.flatnonzero(self.standings == Standing.COPY)
        originals = dict.fromkeys(self.originals[copies].tolist(), "")
        counted = self.counted
        for number, entry in enumerate(stream_entries(storage, batch)):
            if number in originals:  # before its copies: it is the first of its content
                originals[number] = entry.object
            if counted[number]:
                continue
            standing = self.standings[number]
            if standing == Standing.TRAINED:
                reason = f"release {version} was trained on the same content"
            elif standing == Standing.CORRECTED:
                reason = (
                    f"release {version} was trained on the same content with another label or mask: to correct that, "
                    "put it into the inbox again and prepare a span of it (README, Correct labels)"
                )
            elif standing == Standing.COPY:
                first = originals[int(self.originals[number])]
                reason = f"it is a copy of {first}, and the same content counts once"
            else:
                reason = "samples of the batch with the same content have different labels or masks: keep the right one"
            yield Refusal(index=number, object=entry.object, generation=entry.generation, reason=reason)


def find_known(
    storage: Storage, settings: Settings, batch: str, kind: Kind, inspector: Inspector, release: ReleaseRecord
) -> Known:
    """What is known of the batch's samples by their contents. Raises as ``contents.read_contents`` does, and
    ``DataError`` for a damaged list of a span's samples."""
    contents = read_contents(storage, settings, batch, kind, inspector)
    spans: list[Contents] = []
    unread: list[int] = []
    for number in sorted(release.window):
        try:
            spans.append(_trained(storage, number))
        except NotFoundError:
            unread.append(number)
    standings, originals = stand(contents, spans)
    return Known(standings, originals, tuple(unread))


def stand(contents: Contents, trained: Iterable[Contents]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """The standing of each sample, and the first sample of the same content. ``trained`` is what spans hold to train
    on, the oldest first; a truth of 0 isn't known.

    A sample whose content is unknown stands for itself.
    """
    standings = np.zeros(len(contents.content), np.int8)
    originals = np.arange(len(contents.content))
    known = np.flatnonzero(contents.content)
    _, first, group = np.unique(contents.content[known], return_index=True, return_inverse=True)
    group = group.reshape(-1)
    originals[known] = known[first[group]]
    standings[known[originals[known] != known]] = Standing.COPY
    other = contents.truth[known] != contents.truth[originals[known]]
    contradicted = np.zeros(len(first), np.bool_)
    contradicted[group[other]] = True
    standings[known[contradicted[group]]] = Standing.CONTRADICTED
    for span in trained:
        position = np.searchsorted(span.content, contents.content[known])
        position[position == len(span.content)] = 0
        there = span.content[position] == contents.content[known] if len(span.content) else np.zeros(len(known), bool)
        truth = span.truth[position[there]]
        corrected = (truth != 0) & (truth != contents.truth[known[there]])
        standings[known[there]] = np.where(corrected, Standing.CORRECTED, Standing.TRAINED)
    return standings, originals


class _Sample(msgspec.Struct, gc=False):
    fate: str
    content: str | None = None
    truth: str | None = None


def _trained(storage: Storage, number: int) -> Contents:
    """What the span has in its train split, sorted by content. What is in its eval split wasn't trained on."""
    name = layout.span(number, layout.SPAN_SAMPLES)
    decode = msgspec.json.Decoder(_Sample).decode

    def digests(lines: Iterable[bytes]) -> Iterator[tuple[int, int]]:
        for line in lines:
            sample = decode(line)
            if sample.fate == SampleFate.TRAIN.value and sample.content is not None:
                yield short_digest(bytes.fromhex(sample.content)), short_digest(bytes.fromhex(sample.truth or "00" * 8))

    try:
        with storage.open(name) as stream, gzip.open(stream) as lines:
            found = np.fromiter(digests(lines), np.dtype([("content", np.uint64), ("truth", np.uint64)]))
            found.sort(order="content")
            return Contents(found["content"], found["truth"])
    except (msgspec.DecodeError, ValueError, EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{storage.uri(name)} can't be read: {error}") from error
