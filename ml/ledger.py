"""The audit's ledger: every sample and each place where it was seen, in a temporary SQLite file, so that memory doesn't
grow with the number of samples.

A sample is known by its object name and generation. What is asked of the ledger is pure SQL; ``ml.audit`` fills it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from ml.records import BatchState

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32000;
CREATE TABLE inbox (object TEXT, generation TEXT, PRIMARY KEY (object)) WITHOUT ROWID;
CREATE TABLE entry (
    batch TEXT, object TEXT, generation TEXT, size INTEGER, state TEXT, vanished INTEGER DEFAULT 0,
    archived INTEGER, quarantined INTEGER, PRIMARY KEY (batch, object)
) WITHOUT ROWID;
CREATE TABLE example (object TEXT, generation TEXT, span INTEGER, PRIMARY KEY (object, generation, span)) WITHOUT ROWID;
CREATE TABLE problem (
    kind TEXT, object TEXT, generation TEXT, batch TEXT, why TEXT, PRIMARY KEY (object, generation)
) WITHOUT ROWID;
"""

# A returned batch never was, but for what it put into quarantine. `here`: the inbox holds this very generation.
_VIEWS = """
CREATE INDEX entry_sample ON entry (object, generation);
CREATE VIEW known AS
    SELECT e.*, i.object IS NOT NULL AS here,
        CASE WHEN archived = size THEN 1 WHEN quarantined = size THEN 2
             WHEN state = 'open' AND i.object IS NOT NULL THEN 3 WHEN vanished THEN 5 ELSE 6 END AS place
    FROM entry e LEFT JOIN inbox i ON i.object = e.object AND i.generation = e.generation
    WHERE state != 'returned' OR archived IS NOT NULL OR quarantined IS NOT NULL;
CREATE TABLE sample AS
    SELECT object, generation, MIN(place) AS place, MIN(batch) AS batch FROM (
        SELECT object, generation, place, batch FROM known
        UNION ALL SELECT object, generation, 4, NULL FROM inbox
    ) GROUP BY object, generation;
"""

_PROBLEMS = """
INSERT INTO problem SELECT 'twice', object, generation, batch, 'is in the archive and in quarantine' FROM known
    WHERE archived IS NOT NULL AND quarantined IS NOT NULL ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT 'back', object, generation, batch, 'is in the inbox again, though it was settled'
    FROM known WHERE here AND place < 3 AND state != 'open' ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT 'twice', object, generation, NULL, 'is in the batches ' || GROUP_CONCAT(batch, ' and ')
    FROM known WHERE NOT vanished GROUP BY object, generation HAVING COUNT(*) > 1 ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT 'twice', object, generation, NULL, 'is in the spans ' || GROUP_CONCAT(span, ' and ')
    FROM example GROUP BY object, generation HAVING COUNT(*) > 1 ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT DISTINCT 'back', object, generation, NULL, 'is in a span and in the inbox again'
    FROM example JOIN inbox USING (object, generation) WHERE NOT EXISTS (
        SELECT 1 FROM known k WHERE k.object = example.object AND k.generation = example.generation
        AND NOT k.vanished
    ) ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT
        CASE WHEN k.archived IS NOT NULL OR k.quarantined IS NOT NULL THEN 'changed' ELSE 'lost' END,
        s.object, s.generation, s.batch, CASE
        WHEN k.archived IS NOT NULL OR k.quarantined IS NOT NULL
        THEN 'was changed after it was settled: it had ' || k.size || ' bytes and has '
            || COALESCE(k.archived, k.quarantined)
        WHEN k.state = 'open' THEN 'is in the open batch ' || k.batch || ' and nowhere to be found: `batch settle` '
            || 'records what vanished'
        ELSE 'was settled with batch ' || k.batch || ' and is nowhere to be found' END
    FROM sample s JOIN known k ON k.object = s.object AND k.generation = s.generation AND k.batch = s.batch
    WHERE s.place = 6;
"""

_PLACES = {1: "archived", 2: "quarantined", 3: "batch", 4: "inbox", 5: "vanished", 6: "lost"}


class Trouble(str, Enum):
    """What can be wrong with a sample."""

    LOST = "lost"
    CHANGED = "changed"
    #: In the inbox, and where it was settled or used as well.
    BACK = "back"
    #: In two places that no work under way explains.
    TWICE = "twice"

    @property
    def is_loss(self) -> bool:
        return self in (Trouble.LOST, Trouble.CHANGED)


@dataclass(frozen=True, slots=True)
class Problem:
    """A sample that is nowhere, or in more than one place. ``batch`` names it where one batch is concerned."""

    trouble: Trouble
    object: str
    generation: str
    batch: str | None
    why: str


class Ledger:
    """Use as a context manager, which closes its file. First fill it, then :meth:`close_books`, then ask."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)

    def __enter__(self) -> Self:
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add_inbox(self, samples: Iterable[tuple[str, str]]) -> None:
        """Object and generation of each sample in the inbox."""
        self._db.executemany("INSERT OR REPLACE INTO inbox VALUES (?, ?)", samples)

    def add_manifest(self, batch: str, state: BatchState, entries: Iterable[tuple[str, str, int]]) -> None:
        """Object, generation and size of each sample that the batch's manifest names."""
        self._db.executemany(
            "INSERT OR REPLACE INTO entry (batch, object, generation, size, state) VALUES (?, ?, ?, ?, ?)",
            ((batch, *entry, state.value) for entry in entries),
        )

    def add_vanished(self, batch: str, objects: Iterable[str]) -> None:
        """What the batch's settling found gone, after :meth:`add_manifest`."""
        rows = ((batch, name) for name in objects)
        self._db.executemany("UPDATE entry SET vanished = 1 WHERE batch = ? AND object = ?", rows)

    def add_archived(self, objects: Iterable[tuple[str, str, int]]) -> None:
        """Batch, object and size of each sample in the archive, after the manifests."""
        self._add_settled("archived", objects)

    def add_quarantined(self, objects: Iterable[tuple[str, str, int]]) -> None:
        """Batch, object and size of each sample in quarantine, after the manifests."""
        self._add_settled("quarantined", objects)

    def add_examples(self, span: int, samples: Iterable[tuple[str, str]]) -> None:
        """Object and generation of each sample that is in the span."""
        rows = ((*sample, span) for sample in samples)
        self._db.executemany("INSERT OR IGNORE INTO example VALUES (?, ?, ?)", rows)

    def close_books(self) -> None:
        """To be called once, when everything is in: finds the problems."""
        self._db.execute("COMMIT")
        self._db.executescript(_VIEWS)
        self._db.executescript(_PROBLEMS)

    def problems(self) -> Iterator[Problem]:
        """Every problem, the lost first, then by name."""
        yield from (
            Problem(Trouble(kind), *rest)
            for kind, *rest in self._db.execute(
                "SELECT kind, object, generation, batch, why FROM problem "
                "ORDER BY kind IN ('lost', 'changed') DESC, object"
            )
        )

    def places(self) -> dict[str, int]:
        """How many samples are at each place: archived, quarantined, batch, inbox, vanished, lost. Each sample counts
        once, at the first of these."""
        counts = dict(self._db.execute("SELECT place, COUNT(*) FROM sample GROUP BY place"))
        return {name: counts.get(place, 0) for place, name in _PLACES.items()}

    def _add_settled(self, column: str, objects: Iterable[tuple[str, str, int]]) -> None:
        # An object that no manifest names (the batch's folder was cleared away) is a sample of its own, in one place.
        self._db.executemany(
            f"INSERT INTO entry (batch, object, generation, size, state, {column}) "  # noqa: S608 (one of two words)
            "VALUES (?1, ?2, 'of ' || ?1, ?3, 'archived', ?3) "
            f"ON CONFLICT (batch, object) DO UPDATE SET {column} = excluded.{column}",
            objects,
        )
