"""The working state of one span preparation, on local disk: what is known of each sample, and the examples themselves.

An unnamed SQLite database and an unnamed file: the system frees both when the process ends, however it ends. Memory
does not grow with the number of samples.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

import msgspec

from ml.records import ClassCount, ManifestEntry, Refusal, SampleFate
from ml.spans.assignment import Split, new_in_eval

_SCHEMA = """
CREATE TABLE samples (
    number INTEGER PRIMARY KEY,  -- position in the manifest
    manifest_index INTEGER NOT NULL, object TEXT NOT NULL, generation TEXT NOT NULL, label TEXT,
    content BLOB, start INTEGER, length INTEGER, statistics BLOB,
    refused TEXT, found_here INTEGER NOT NULL DEFAULT 0  -- why it is refused, and whether this step found it
);
"""
_IMAGES = """
CREATE INDEX by_content ON samples (content, label, object) WHERE content IS NOT NULL;
-- Nobody but a person can tell which label of the same picture is right.
UPDATE samples SET found_here = 1, refused =
    'the same picture lies under the labels ' || conflict.labels || ': keep it under one'
FROM (
    SELECT content, quote(MIN(label)) || ' and ' || quote(MAX(label)) AS labels FROM samples WHERE content IS NOT NULL
    GROUP BY content HAVING MIN(label) <> MAX(label)
) AS conflict
WHERE samples.content = conflict.content;
-- Of copies, the one whose name comes first is the example (SQLite takes bare columns from the row of the MIN).
CREATE TABLE images (content BLOB PRIMARY KEY, label TEXT NOT NULL, number INTEGER NOT NULL, split TEXT, placed INTEGER)
WITHOUT ROWID;
INSERT INTO images (content, label, number)
    SELECT content, label, number FROM (SELECT content, label, number, MIN(object) FROM samples
    WHERE content IS NOT NULL AND refused IS NULL GROUP BY content) ORDER BY content;
CREATE INDEX by_label ON images (label, content);
CREATE INDEX by_number ON images (number);
"""


class Candidate(NamedTuple):
    """A sample that decodes: its content hash, its example framed for a TFRecord file, its row of statistics."""

    content: bytes
    framed: bytes
    statistics: bytes


class Example(NamedTuple):
    """One example of the span, in the order of the files."""

    label: str
    framed: bytes
    statistics: bytes


class Fate(msgspec.Struct, omit_defaults=True):
    """A ``ml.records.SpanSample`` in the form that is written, once for each sample, ten times as fast."""

    object: str
    generation: str
    fate: str
    content: str | None = None


class Workspace:
    """A context manager, for one thread. First every sample is added, then :meth:`close_collection` finds what is
    distinct, :meth:`place` and :meth:`decide` give splits, and the rest reads."""

    def __enter__(self) -> Workspace:
        self._database = sqlite3.connect("", isolation_level=None)  # "": a temporary file without a name
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")
        self._spool = tempfile.TemporaryFile(prefix="respan-span-")
        self._end = 0
        self._number = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._spool.close()

    def add(self, samples: Iterable[tuple[ManifestEntry, Candidate | str]]) -> None:
        """Adds the manifest's next samples: candidates, or refused with the reason."""
        rows: list[tuple[object, ...]] = []
        for entry, found in samples:
            identity = (self._number, entry.index, entry.object, entry.generation, entry.label)
            if isinstance(found, Candidate):
                self._spool.write(found.framed)
                rows.append((*identity, found.content, self._end, len(found.framed), found.statistics, None, 0))
                self._end += len(found.framed)
            else:
                rows.append((*identity, None, None, None, None, found, int(entry.refused is None)))
            self._number += 1
        self._database.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def close_collection(self) -> None:
        self._spool.flush()
        self._database.execute("COMMIT")
        self._database.executescript(_IMAGES)

    def refusals(self) -> Iterator[Refusal]:
        """The samples that this step refused, in the manifest's order."""
        query = "SELECT manifest_index, object, generation, refused FROM samples WHERE found_here ORDER BY number"
        for index, name, generation, reason in self._database.execute(query):
            yield Refusal(index=index, object=name, generation=generation, reason=reason)

    def most_frequent_reason(self) -> str | None:
        query = "SELECT refused FROM samples WHERE found_here GROUP BY refused ORDER BY COUNT(*) DESC, refused LIMIT 1"
        row = self._database.execute(query).fetchone()
        return str(row[0]) if row else None

    def count(self) -> Counts:
        query = """SELECT COUNT(*), COUNT(refused), SUM(found_here), (SELECT COUNT(*) FROM images) FROM samples"""
        samples, refused, here, images = self._database.execute(query).fetchone()
        return Counts(samples=samples, refused=refused, refused_here=here or 0, images=images)

    def forget_splits(self) -> None:
        self._database.execute("UPDATE images SET split = NULL, placed = NULL")

    def place(self, splits: Iterable[tuple[Split, bytes]]) -> None:
        """Gives images the split that they have had since an earlier span; others' hashes are ignored."""
        self._database.execute("BEGIN")
        rows = ((split.value, content) for split, content in splits)
        self._database.executemany("UPDATE images SET split = ?, placed = 1 WHERE content = ?", rows)
        self._database.execute("COMMIT")

    def decide(self, share: float) -> None:
        """Gives every other image its split, class by class: the smallest hashes of the new ones go to eval."""
        for label, new, in_eval, in_train in self._database.execute(
            "SELECT label, SUM(split IS NULL), SUM(split IS 'eval'), SUM(split IS 'train') FROM images GROUP BY label"
        ).fetchall():
            to_eval = new_in_eval(new=new, known_in_eval=in_eval, known_in_train=in_train, share=share)
            self._database.execute(
                """UPDATE images SET split = 'eval' WHERE content IN
                (SELECT content FROM images WHERE label = ? AND split IS NULL ORDER BY content LIMIT ?)""",
                (label, to_eval),
            )
        self._database.execute("UPDATE images SET split = 'train' WHERE split IS NULL")

    def newly_placed(self) -> Iterator[tuple[bytes, Split]]:
        """The images that :meth:`decide` gave a split, sorted by hash."""
        for content, split in self._database.execute(
            "SELECT content, split FROM images WHERE placed IS NULL ORDER BY content"
        ):
            yield content, Split(split)

    def classes(self) -> dict[str, ClassCount]:
        query = "SELECT label, SUM(split = 'train'), SUM(split = 'eval') FROM images GROUP BY label ORDER BY label"
        return {label: ClassCount(train=train, eval=eval_) for label, train, eval_ in self._database.execute(query)}

    def examples(self, split: Split) -> Iterator[Example]:
        """The split's examples, sorted by content hash: a shuffle that every repeat gives alike."""
        query = """SELECT images.label, start, length, statistics FROM images JOIN samples USING (number)
            WHERE split = ? ORDER BY images.content"""
        descriptor = self._spool.fileno()
        for label, start, length, statistics in self._database.execute(query, (split.value,)):
            yield Example(label, os.pread(descriptor, length, start), statistics)

    def fates(self) -> Iterator[Fate]:
        """What became of each sample, in the manifest's order."""
        query = """SELECT object, generation, samples.content, refused, split
            FROM samples LEFT JOIN images USING (number) ORDER BY samples.number"""
        for name, generation, content, refused, split in self._database.execute(query):
            if refused is not None:
                yield Fate(name, generation, SampleFate.REFUSED.value)
            else:
                yield Fate(name, generation, split or SampleFate.DUPLICATE.value, content.hex())


@dataclass(frozen=True, slots=True)
class Counts:
    """``samples`` are all of the batch's; ``refused`` counts those refused at any step, ``refused_here`` at this one;
    ``images`` are the distinct usable ones."""

    samples: int
    refused: int
    refused_here: int
    images: int

    @property
    def duplicates(self) -> int:
        return self.samples - self.refused - self.images
