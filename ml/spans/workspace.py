"""The working state of one span preparation, on local disk: what is known of each sample, and the examples themselves.

An unnamed SQLite database and an unnamed file: the system frees both when the process ends, however it ends. Memory
does not grow with the number of samples.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple

import msgspec

from ml.records import ClassCount, ManifestEntry, Refusal, SampleFate
from ml.spans.assignment import Split, new_in_eval
from ml.spans.truths import truth_digest

_SCHEMA = """
CREATE TABLE samples (
    number INTEGER PRIMARY KEY,  -- position in the manifest
    manifest_index INTEGER NOT NULL, object TEXT NOT NULL, generation TEXT NOT NULL,
    content BLOB, truth TEXT,
    stratum TEXT,  -- NULL where it is the truth
    classes TEXT,  -- a JSON array; NULL where the stratum is the one class
    start INTEGER, length INTEGER, statistics BLOB,
    refused TEXT, found_here INTEGER NOT NULL DEFAULT 0  -- why it is refused, and whether this step found it
);
"""
_CONTENTS = """
CREATE INDEX by_content ON samples (content, truth, object) WHERE content IS NOT NULL;
-- Nobody but a person can tell which of two truths is right.
UPDATE samples SET found_here = 1, refused = conflict(found.one, found.other)
FROM (
    SELECT content, MIN(truth) AS one, MAX(truth) AS other FROM samples WHERE content IS NOT NULL
    GROUP BY content HAVING MIN(truth) <> MAX(truth)
) AS found
WHERE samples.content = found.content;
-- Of copies, the one whose name comes first is the example (SQLite takes bare columns from the row of the MIN).
CREATE TABLE contents (
    content BLOB PRIMARY KEY, stratum TEXT NOT NULL, classes TEXT, number INTEGER NOT NULL, split TEXT, placed INTEGER
) WITHOUT ROWID;
INSERT INTO contents (content, stratum, classes, number)
    SELECT content, stratum, classes, number FROM (
        SELECT content, COALESCE(stratum, truth) AS stratum, classes, number, MIN(object) FROM samples
        WHERE content IS NOT NULL AND refused IS NULL GROUP BY content
    ) ORDER BY content;
CREATE INDEX by_stratum ON contents (stratum, content);
CREATE INDEX by_number ON contents (number);
"""

_SPLITS = {split.value: split for split in Split}


class Candidate(NamedTuple):
    """A usable sample, see ``ml.kinds.kind.Inspected``; ``framed`` is its example framed for a TFRecord file."""

    content: bytes
    truth: str
    stratum: str
    classes: tuple[str, ...]
    framed: bytes
    statistics: bytes


class Example(NamedTuple):
    """One example of the span, in the order of the files."""

    stratum: str
    framed: bytes
    statistics: bytes


class Fate(msgspec.Struct, omit_defaults=True):
    """A ``ml.records.SpanSample`` in the form that is written, once for each sample, ten times as fast."""

    object: str
    generation: str
    fate: str
    content: str | None = None
    truth: str | None = None


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
        framed: list[bytes] = []
        for entry, found in samples:
            identity = (self._number, entry.index, entry.object, entry.generation)
            if isinstance(found, Candidate):
                framed.append(found.framed)
                stratum = None if found.stratum == found.truth else found.stratum
                classes = None if found.classes == (found.stratum,) else msgspec.json.encode(found.classes).decode()
                place = self._end, len(found.framed)
                rows.append(
                    (*identity, found.content, found.truth, stratum, classes, *place, found.statistics, None, 0)
                )
                self._end += len(found.framed)
            else:
                rows.append((*identity, *[None] * 7, found, int(entry.refused is None)))
            self._number += 1
        self._spool.write(b"".join(framed))
        self._database.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def close_collection(self, conflict: Callable[[str, str], str]) -> None:
        """``conflict`` tells why copies with these two truths are refused."""
        self._spool.flush()
        self._database.execute("COMMIT")
        self._database.create_function("conflict", 2, conflict)
        self._database.executescript(_CONTENTS)

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
        query = """SELECT COUNT(*), COUNT(refused), SUM(found_here), (SELECT COUNT(*) FROM contents) FROM samples"""
        samples, refused, here, distinct = self._database.execute(query).fetchone()
        return Counts(samples=samples, refused=refused, refused_here=here or 0, distinct=distinct)

    def forget_splits(self) -> None:
        self._database.execute("UPDATE contents SET split = NULL, placed = NULL WHERE split IS NOT NULL")

    def place(self, splits: Iterable[tuple[Split, bytes]]) -> None:
        """Gives contents the split that they have had since an earlier span; those of other samples are ignored."""
        self._database.execute("BEGIN")
        rows = ((split.value, content) for split, content in splits)
        self._database.executemany("UPDATE contents SET split = ?, placed = 1 WHERE content = ?", rows)
        self._database.execute("COMMIT")

    def decide(self, share: float) -> None:
        """Gives every other content its split, stratum by stratum: the smallest hashes of the new ones go to eval."""
        for stratum, new, in_eval, in_train in self._database.execute(
            """SELECT stratum, SUM(split IS NULL), SUM(split IS 'eval'), SUM(split IS 'train')
            FROM contents GROUP BY stratum"""
        ).fetchall():
            to_eval = new_in_eval(new=new, known_in_eval=in_eval, known_in_train=in_train, share=share)
            self._database.execute(
                """UPDATE contents SET split = 'eval' WHERE content IN
                (SELECT content FROM contents WHERE stratum = ? AND split IS NULL ORDER BY content LIMIT ?)""",
                (stratum, to_eval),
            )
        self._database.execute("UPDATE contents SET split = 'train' WHERE split IS NULL")

    def newly_placed(self) -> Iterator[tuple[bytes, Split]]:
        """The contents that :meth:`decide` gave a split, sorted."""
        for content, split in self._database.execute(
            "SELECT content, split FROM contents WHERE placed IS NULL ORDER BY content"
        ):
            yield content, _SPLITS[split]

    def sizes(self) -> dict[Split, int]:
        """How many examples each split has."""
        query = "SELECT SUM(split = 'train'), SUM(split = 'eval') FROM contents"
        train, evaluated = self._database.execute(query).fetchone()
        return {Split.TRAIN: train or 0, Split.EVAL: evaluated or 0}

    def strata(self) -> list[str]:
        return [stratum for (stratum,) in self._database.execute("SELECT DISTINCT stratum FROM contents")]

    def classes(self) -> dict[str, ClassCount]:
        """In how many examples of each split each class occurs, sorted by its name."""
        train: Counter[str] = Counter()
        evaluated: Counter[str] = Counter()
        query = """SELECT stratum, classes, SUM(split = 'train'), SUM(split = 'eval')
            FROM contents GROUP BY stratum, classes"""
        for stratum, classes, to_train, to_eval in self._database.execute(query):
            for name in [stratum] if classes is None else msgspec.json.decode(classes):
                train[name] += to_train
                evaluated[name] += to_eval
        return {name: ClassCount(train=train[name], eval=evaluated[name]) for name in sorted(train)}

    def examples(self, split: Split) -> Iterator[Example]:
        """The split's examples, sorted by content hash: a shuffle that every repeat gives alike."""
        query = """SELECT contents.stratum, start, length, statistics FROM contents JOIN samples USING (number)
            WHERE split = ? ORDER BY contents.content"""
        descriptor = self._spool.fileno()
        for stratum, start, length, statistics in self._database.execute(query, (split.value,)):
            yield Example(stratum, os.pread(descriptor, length, start), statistics)

    def fates(self) -> Iterator[Fate]:
        """What became of each sample, in the manifest's order."""
        query = """SELECT object, generation, samples.content, truth, refused, split
            FROM samples LEFT JOIN contents USING (number) ORDER BY samples.number"""
        digest = lru_cache(4096)(truth_digest)
        for name, generation, content, truth, refused, split in self._database.execute(query):
            if refused is not None:
                yield Fate(name, generation, SampleFate.REFUSED.value)
            elif split is None:
                yield Fate(name, generation, SampleFate.DUPLICATE.value, content.hex())
            else:
                yield Fate(name, generation, split, content.hex(), digest(truth))


@dataclass(frozen=True, slots=True)
class Counts:
    """``samples`` are all of the batch's; ``refused`` counts those refused at any step, ``refused_here`` at this one;
    ``distinct`` counts the usable ones without their copies."""

    samples: int
    refused: int
    refused_here: int
    distinct: int

    @property
    def duplicates(self) -> int:
        return self.samples - self.refused - self.distinct
