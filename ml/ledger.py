"""The audit's ledger: every object and each place where it was seen, in a temporary SQLite file, so that memory doesn't
grow with the number of samples.

An object is known by its name and generation. Each has to be in one place; counted are samples, by their first objects
(the others are *further* ones). What is asked of the ledger is pure SQL; ``ml.audit`` fills it.
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
CREATE TABLE inbox (
    object TEXT, generation TEXT, ignored INTEGER, sample TEXT, role TEXT, PRIMARY KEY (object)
) WITHOUT ROWID;
CREATE TABLE entry (
    batch TEXT, object TEXT, generation TEXT, size INTEGER, further INTEGER, state TEXT, vanished INTEGER DEFAULT 0,
    archived INTEGER, quarantined INTEGER, PRIMARY KEY (batch, object)
) WITHOUT ROWID;
CREATE TABLE example (
    object TEXT, generation TEXT, span INTEGER, content TEXT, truth TEXT, PRIMARY KEY (object, generation, span)
) WITHOUT ROWID;
CREATE TABLE problem (
    kind TEXT, object TEXT, generation TEXT, further INTEGER, batch TEXT, why TEXT, PRIMARY KEY (object, generation)
) WITHOUT ROWID;
"""

# A returned batch never was, but for what it put into quarantine. `here`: the inbox holds this very generation. An
# ignored object is in no place, unless a batch that was frozen before it was ignored names it.
_VIEWS = """
CREATE INDEX entry_sample ON entry (object, generation);
CREATE VIEW known AS
    SELECT e.*, i.object IS NOT NULL AS here,
        CASE WHEN archived = size THEN 1 WHEN quarantined = size THEN 2
             WHEN state = 'open' AND i.object IS NOT NULL THEN 3 WHEN vanished THEN 5 ELSE 6 END AS place
    FROM entry e LEFT JOIN inbox i ON i.object = e.object AND i.generation = e.generation
    WHERE state != 'returned' OR archived IS NOT NULL OR quarantined IS NOT NULL;
CREATE TABLE placed AS
    SELECT object, generation, MAX(further) AS further, MIN(place) AS place, MIN(batch) AS batch FROM (
        SELECT object, generation, further, place, batch FROM known
        UNION ALL SELECT object, generation, 0, 4, NULL FROM inbox WHERE NOT ignored
    ) GROUP BY object, generation;
"""

_PROBLEMS = """
INSERT INTO problem SELECT
        CASE WHEN k.archived IS NOT NULL OR k.quarantined IS NOT NULL THEN 'changed' ELSE 'lost' END,
        s.object, s.generation, s.further, s.batch, CASE
        WHEN k.archived IS NOT NULL OR k.quarantined IS NOT NULL
        THEN 'was changed after it was settled: it had ' || k.size || ' bytes and has '
            || COALESCE(k.archived, k.quarantined)
        WHEN k.state = 'open' THEN 'is in the open batch ' || k.batch || ' and nowhere to be found: `batch settle` '
            || 'records what vanished'
        ELSE 'was settled with batch ' || k.batch || ' and is nowhere to be found' END
    FROM placed s JOIN known k ON k.object = s.object AND k.generation = s.generation AND k.batch = s.batch
    WHERE s.place = 6;
INSERT INTO problem SELECT 'twice', object, generation, further, batch, 'is in the archive and in quarantine'
    FROM known WHERE archived IS NOT NULL AND quarantined IS NOT NULL ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT 'back', object, generation, further, batch, 'is in the inbox again, though it was settled'
    FROM known WHERE here AND place < 3 AND state != 'open' ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT 'twice', object, generation, MAX(further), NULL,
    'is in the batches ' || GROUP_CONCAT(batch, ' and ') FROM known WHERE NOT vanished
    GROUP BY object, generation HAVING COUNT(*) > 1 ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT 'twice', object, generation, 0, NULL, 'is in the spans ' || GROUP_CONCAT(span, ' and ')
    FROM example GROUP BY object, generation HAVING COUNT(*) > 1 ON CONFLICT DO NOTHING;
INSERT INTO problem SELECT DISTINCT 'back', object, generation, 0, NULL, 'is in a span and in the inbox again'
    FROM example JOIN inbox USING (object, generation) WHERE NOT EXISTS (
        SELECT 1 FROM known k WHERE k.object = example.object AND k.generation = example.generation
        AND NOT k.vanished
    ) ON CONFLICT DO NOTHING;
"""

_PLACES = {1: "archived", 2: "quarantined", 3: "batch", 4: "inbox", 5: "vanished", 6: "lost"}


# Of the objects that are in the inbox alone, those with one of each role are a whole sample; the others wait.
_PAIRS = """
SELECT SUM(objects), SUM(whole) FROM (
    SELECT COUNT(*) AS objects, COUNT(DISTINCT role) = ? AS whole
    FROM placed JOIN inbox USING (object, generation) WHERE place = 4 AND role IS NOT NULL GROUP BY sample
)
"""

_IGNORED = """
SELECT COUNT(*) FROM inbox LEFT JOIN placed USING (object, generation) WHERE ignored AND placed.object IS NULL
"""


_CORRECTED = """
SELECT COUNT(*) FROM (SELECT 1 FROM example GROUP BY content HAVING COUNT(DISTINCT truth) > 1)
"""


class Trouble(str, Enum):
    """What can be wrong with an object."""

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
    """An object that is nowhere, or in more than one place. ``further``: the sample is counted by another one.
    ``batch`` names it where one batch is concerned."""

    trouble: Trouble
    object: str
    generation: str
    further: bool
    batch: str | None
    why: str


#: An object in the inbox: name, generation, whether it is ignored; where samples are several objects, also its sample
#: and role, None where it belongs to none. (These are plain tuples, since there may be millions.)
Listed = tuple[str, str, bool] | tuple[str, str, bool, str | None, str | None]
#: An object that a manifest names: name, generation, size, and whether it is a further one.
Named = tuple[str, str, int, bool]
#: An object below a batch's folder in the archive or in quarantine: batch, name, size, and whether it is a further one,
#: for objects that no manifest names.
Settled = tuple[str, str, int, bool]
#: A sample in a span: first object, generation, content, and the digest of its truth where the span has it.
Example = tuple[str, str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Places:
    """``samples``: how many are at each place: archived, quarantined, batch, inbox, vanished, lost. Each sample counts
    once, at the first of these. ``incomplete``: how many objects in the inbox belong to no whole sample. ``ignored``:
    how many there are never samples. ``corrected``: how many contents are in spans under several truths."""

    samples: dict[str, int]
    incomplete: int
    ignored: int
    corrected: int


class Ledger:
    """Use as a context manager, which closes its file. First fill it, then :meth:`close_books`, then ask.

    ``roles``: of how many objects a sample is.
    """

    def __init__(self, file: Path, roles: int) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._roles = roles

    def __enter__(self) -> Self:
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add_inbox(self, objects: Iterable[Listed]) -> None:
        values = "?, ?, ?, NULL, NULL" if self._roles == 1 else "?, ?, ?, ?, ?"
        self._db.executemany(f"INSERT OR REPLACE INTO inbox VALUES ({values})", objects)  # noqa: S608 (one of two)

    def add_manifest(self, batch: str, state: BatchState, objects: Iterable[Named]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO entry (batch, state, object, generation, size, further) VALUES (?, ?, ?, ?, ?, ?)",
            ((batch, state.value, *item) for item in objects),
        )

    def add_vanished(self, batch: str, objects: Iterable[str]) -> None:
        """What the batch's settling found gone, after :meth:`add_manifest`."""
        rows = ((batch, name) for name in objects)
        self._db.executemany("UPDATE entry SET vanished = 1 WHERE batch = ? AND object = ?", rows)

    def add_archived(self, objects: Iterable[Settled]) -> None:
        """After the manifests."""
        self._add_settled("archived", objects)

    def add_quarantined(self, objects: Iterable[Settled]) -> None:
        """After the manifests."""
        self._add_settled("quarantined", objects)

    def add_examples(self, span: int, samples: Iterable[Example]) -> None:
        """The samples that are in the span."""
        rows = ((name, generation, span, content, truth) for name, generation, content, truth in samples)
        self._db.executemany("INSERT OR IGNORE INTO example VALUES (?, ?, ?, ?, ?)", rows)

    def close_books(self) -> None:
        """To be called once, when everything is in: finds the problems."""
        self._db.execute("COMMIT")
        self._db.executescript(_VIEWS)
        self._db.executescript(_PROBLEMS)

    def problems(self) -> Iterator[Problem]:
        """Every problem, the lost first, then by name."""
        for kind, name, generation, further, batch, why in self._db.execute(
            "SELECT kind, object, generation, further, batch, why FROM problem "
            "ORDER BY kind IN ('lost', 'changed') DESC, object"
        ):
            yield Problem(Trouble(kind), name, generation, bool(further), batch, why)

    def places(self) -> Places:
        counts = dict(self._db.execute("SELECT place, COUNT(*) FROM placed WHERE NOT further GROUP BY place"))
        samples = {name: counts.get(place, 0) for place, name in _PLACES.items()}
        (ignored,) = self._db.execute(_IGNORED).fetchone()
        (corrected,) = self._db.execute(_CORRECTED).fetchone()
        if self._roles == 1:
            return Places(samples, 0, ignored, corrected)
        objects, whole = (count or 0 for count in self._db.execute(_PAIRS, (self._roles,)).fetchone())
        samples["inbox"] -= objects - whole
        return Places(samples, objects - whole * self._roles, ignored, corrected)

    def _add_settled(self, column: str, objects: Iterable[Settled]) -> None:
        # An object that no manifest names (the batch's folder was cleared away) is in one place.
        self._db.executemany(
            f"INSERT INTO entry (batch, object, generation, size, further, state, {column}) "  # noqa: S608 (one of two)
            "VALUES (?1, ?2, 'of ' || ?1, ?3, ?4, 'archived', ?3) "
            f"ON CONFLICT (batch, object) DO UPDATE SET {column} = excluded.{column}",
            objects,
        )
