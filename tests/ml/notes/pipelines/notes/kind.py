"""A kind of the tests' own, as far as spans and predictions ask it: a sample is ``<id>.json``, a text and its tags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import msgspec
import numpy as np

from ml.kinds.kind import Collected, Inspected, Kind, Part, Refused, Unusable, Words


class Note(msgspec.Struct):
    text: str
    tags: list[str]


class Measures(msgspec.Struct, frozen=True):
    """What the model says: the note's size, and how many notes it was asked for at once."""

    size: int
    together: int


def _read(data: bytes) -> Note | Refused:
    try:
        return msgspec.json.decode(data, type=Note)
    except msgspec.DecodeError as error:
        return Refused(f"not a note: {error}")


class NoteInspector:
    columns = ("characters", "share of a/b")

    def inspect(self, samples: Iterable[Collected | Refused]) -> Iterator[list[Inspected | Refused]]:
        for sample in samples:
            note = sample if isinstance(sample, Refused) else _read(sample.objects[0])
            yield [note if isinstance(note, Refused) else self._inspected(note)]

    def conflict(self, one: str, other: str) -> str:
        return f"the same text is tagged {one} and {other}"

    def _inspected(self, note: Note) -> Inspected:
        import tensorflow as tf

        text = tf.train.Feature(bytes_list=tf.train.BytesList(value=[note.text.encode()]))
        tags = tuple(sorted(set(note.tags)))
        return Inspected(
            content=hashlib.sha256(note.text.encode()).digest(),
            truth=json.dumps(tags),
            stratum=tags[0] if tags else "",
            example=tf.train.Example(features=tf.train.Features(feature={"text": text})).SerializeToString(),
            statistics=np.array([len(note.text), note.text.count("/")], np.float32).tobytes(),
            classes=tags,
        )


class NoteServing:
    input = "note"
    outputs = frozenset({"size", "together"})

    def refusal(self, data: bytes) -> Refused | None:
        return None if data.startswith(b"{") else Refused("not a note: no object")

    def refusals(self, data: Sequence[bytes]) -> list[Refused | None]:
        read = [_read(one) for one in data]
        return [note if isinstance(note, Refused) else None for note in read]

    def memory(self, data: bytes) -> int:
        return len(data)

    def answers(self, outputs: Mapping[str, Any]) -> list[Measures]:
        sizes, together = (outputs[name].numpy().tolist() for name in ("size", "together"))
        return [Measures(*row) for row in zip(sizes, together, strict=True)]


class Notes(Kind):
    roles: ClassVar[Mapping[str, str]] = {"note": ""}
    layout = "<id>.json"
    metric = "error"
    words = Words(metric="Error", score="Error", unit="notes", interval="There are none.")
    recorded_metrics: ClassVar[Mapping[str, str]] = {}

    def part_of(self, name: str) -> Part | Unusable:
        return Part(name, "note") if name.endswith(".json") else Unusable(f"the layout is not {self.layout}")

    def inspector(self, settings: object) -> NoteInspector:
        return NoteInspector()

    def serving(self, settings: object) -> NoteServing:
        return NoteServing()

    def scorer(self, settings: object, classes: Sequence[str]) -> NoReturn:
        raise NotImplementedError

    def judge(self, settings: object) -> NoReturn:
        raise NotImplementedError

    def comparer(self, settings: object, ignored: Collection[str]) -> NoReturn:
        raise NotImplementedError

    def accept(self, settings: object, model: str, examples: str, most: int) -> NoReturn:
        raise NotImplementedError

    def evaluation_config(self, settings: object) -> NoReturn:
        raise NotImplementedError


KIND = Notes()
