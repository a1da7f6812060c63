"""The audit: proves from storage alone that each collected sample is in exactly one place."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from ml import layout, windows
from ml.batches import list_batches, read_lines, read_manifest
from ml.errors import DataError, NotFoundError
from ml.ledger import Ledger, Problem, Trouble
from ml.parallel import map_ahead
from ml.records import Record, Refusal, SampleFate, SpanSample
from ml.storage import Storage
from ml.temporary import temporary_folder

#: How many samples with a problem are named.
NAMED = 10


class Audit(Record):
    """Where the collected samples of a pipeline are. ``vanished`` were taken away by somebody else while their batch
    was open, and recorded; ``lost`` are nowhere; ``duplicated`` are in more than one place. ``problems`` names the
    first.

    ``collected`` is the sum of all but ``duplicated``.
    """

    collected: int
    inbox: int
    batch: int
    archived: int
    quarantined: int
    vanished: int
    lost: int
    duplicated: int
    problems: list[str]

    @property
    def balanced(self) -> bool:
        return self.lost == 0 and self.duplicated == 0


def audit(storage: Storage) -> Audit:
    """Counts every sample of the pipeline at its place. Reads listings, manifests and spans' records, no sample.

    May run while batches are frozen and settled: what looks like a problem is looked at again before it is reported.
    Memory doesn't grow with the number of samples; a temporary file does (about 300 bytes for each).
    """
    with temporary_folder() as folder, Ledger(folder / "ledger.sqlite") as ledger:
        _fill(ledger, storage)
        ledger.close_books()
        places = ledger.places()
        duplicated = 0
        named: list[str] = []
        for problem, found_at in map_ahead(lambda problem: (problem, _look_again(storage, problem)), ledger.problems()):
            if found_at is not None:
                if problem.trouble.is_loss:
                    places["lost"] -= 1
                    places[found_at] += 1
                continue
            duplicated += not problem.trouble.is_loss
            if len(named) < NAMED:
                named.append(f"{'lost' if problem.trouble.is_loss else 'duplicated'}: {problem.object!r} {problem.why}")
        return Audit(collected=sum(places.values()), duplicated=duplicated, problems=named, **places)


def _fill(ledger: Ledger, storage: Storage) -> None:
    # The order matters while others work: a sample moves from the inbox to the archive, so it is looked for in this
    # order, and a batch is taken as what it was before.
    batches = list_batches(storage)
    inbox = storage.child(layout.INBOX)
    ledger.add_inbox((info.name, info.generation) for info in inbox.list())
    for batch in batches:
        try:
            entries = read_manifest(storage, batch.id)
            ledger.add_manifest(batch.id, batch.state, ((e.object, e.generation, e.size) for e in entries))
        except NotFoundError as error:
            raise DataError(f"no audit is possible: the manifest of batch {batch.id} is gone ({error})") from None
        try:
            vanished = read_lines(storage, layout.batch(batch.id, layout.VANISHED), Refusal)
            ledger.add_vanished(batch.id, (refusal.object for refusal in vanished))
        except NotFoundError:
            pass  # not settled yet
    ledger.add_archived(_settled(storage.child(layout.ARCHIVE), ""))
    ledger.add_quarantined(_settled(storage.child(layout.QUARANTINE), "samples/"))
    for number in windows.complete_spans(storage):
        ledger.add_examples(number, _examples(storage, number))


def _settled(storage: Storage, below: str) -> Iterator[tuple[str, str, int]]:
    for info in storage.list():
        batch, _, name = info.name.partition("/")
        if name.startswith(below) and name:
            yield batch, name.removeprefix(below), info.size


def _examples(storage: Storage, number: int) -> Iterator[tuple[str, str]]:
    with storage.open(layout.span(number, layout.SPAN_SAMPLES)) as stream, gzip.open(stream) as lines:
        for line in lines:
            sample = SpanSample.from_json(line)
            if sample.fate in (SampleFate.TRAIN, SampleFate.EVAL):
                yield sample.object, sample.generation


def _look_again(storage: Storage, problem: Problem) -> str | None:
    """Where the sample is after all, when somebody moved it between two listings. None: the problem is real."""
    if problem.trouble in (Trouble.CHANGED, Trouble.TWICE):
        return None
    try:
        here = storage.stat(layout.inbox(problem.object)).generation == problem.generation
    except NotFoundError:
        here = False
    if problem.trouble is Trouble.BACK:
        return None if here else "archived"
    if here:
        return "inbox"
    if problem.batch is not None:
        if storage.exists(layout.archived(problem.batch, problem.object)):
            return "archived"
        if storage.exists(layout.quarantined(problem.batch, problem.object)):
            return "quarantined"
    return None
