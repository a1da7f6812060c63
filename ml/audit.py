"""The audit: proves from storage alone that each collected sample, and each of its objects, is in exactly one place."""

from __future__ import annotations

from collections.abc import Iterator

from ml import layout, windows
from ml.batches import list_batches, read_manifest, read_vanished
from ml.clutter import is_clutter
from ml.errors import DataError, NotFoundError
from ml.kinds.kind import Kind, Part
from ml.ledger import Example, Ledger, Listed, Named, Problem, Settled, Trouble
from ml.parallel import map_ahead
from ml.records import Record, SampleFate
from ml.spans.documents import read_samples
from ml.storage import Storage
from ml.temporary import temporary_folder

#: How many objects with a problem are named.
NAMED = 10


class Audit(Record):
    """Where the collected samples of a pipeline are. ``vanished`` were taken away by somebody else while their batch
    was open, and recorded; ``lost`` are nowhere; ``duplicated`` are in more than one place. ``problems`` names the
    first.

    ``collected`` is the sum of all but ``duplicated``. A sample of several objects counts where its first one is; each
    further one that is nowhere or in more than one place adds to ``lost`` or ``duplicated``, not to ``collected``.
    ``incomplete`` and ``ignored`` count files in the inbox, not samples: those that belong to no whole sample yet, and
    those that never are samples (see ``ml.clutter``). ``corrected`` counts contents that spans hold under several
    truths, of which the newest counts; spans that were prepared before truths were recorded don't add to it.
    """

    collected: int
    inbox: int
    batch: int
    archived: int
    quarantined: int
    vanished: int
    lost: int
    duplicated: int
    incomplete: int = 0
    corrected: int = 0
    ignored: int = 0
    problems: list[str]

    @property
    def balanced(self) -> bool:
        return self.lost == 0 and self.duplicated == 0


def audit(storage: Storage, kind: Kind) -> Audit:
    """Counts every sample of the pipeline at its place. Reads listings, manifests and spans' records, no sample.

    May run while batches are frozen and settled: what looks like a problem is looked at again before it is reported.
    Memory doesn't grow with the number of samples; a temporary file does (about 300 bytes for each object).
    """
    with temporary_folder() as folder, Ledger(folder / "ledger.sqlite", len(kind.roles)) as ledger:
        _fill(ledger, storage, kind)
        ledger.close_books()
        found = ledger.places()
        places = found.samples
        further_lost = duplicated = 0
        named: list[str] = []
        for problem, found_at in map_ahead(lambda problem: (problem, _look_again(storage, problem)), ledger.problems()):
            if found_at is not None:
                if problem.trouble.is_loss and not problem.further:
                    places["lost"] -= 1
                    places[found_at] += 1
                continue
            duplicated += not problem.trouble.is_loss
            further_lost += problem.trouble.is_loss and problem.further
            if len(named) < NAMED:
                named.append(f"{'lost' if problem.trouble.is_loss else 'duplicated'}: {problem.object!r} {problem.why}")
        collected = sum(places.values())
        places["lost"] += further_lost
        return Audit(
            collected=collected,
            duplicated=duplicated,
            incomplete=found.incomplete,
            corrected=found.corrected,
            ignored=found.ignored,
            problems=named,
            **places,
        )


def _fill(ledger: Ledger, storage: Storage, kind: Kind) -> None:
    # The order matters while others work: a sample moves from the inbox to the archive, so it is looked for in this
    # order, and a batch is taken as what it was before.
    batches = list_batches(storage)
    inbox = storage.child(layout.INBOX)
    ledger.add_inbox(_listed(inbox, kind))
    for batch in batches:
        try:
            ledger.add_manifest(batch.id, batch.state, _named(storage, batch.id))
        except NotFoundError as error:
            raise DataError(f"no audit is possible: the manifest of batch {batch.id} is gone ({error})") from None
        ledger.add_vanished(batch.id, (vanished.object for vanished in read_vanished(storage, batch.id)))
    ledger.add_archived(_settled(storage.child(layout.ARCHIVE), "", kind))
    ledger.add_quarantined(_settled(storage.child(layout.QUARANTINE), "samples/", kind))
    for number in windows.complete_spans(storage):
        ledger.add_examples(number, _examples(storage, number))


def _listed(inbox: Storage, kind: Kind) -> Iterator[Listed]:
    if len(kind.roles) == 1:
        yield from ((info.name, info.generation, is_clutter(info.name)) for info in inbox.list())
        return
    for info in inbox.list():
        ignored = is_clutter(info.name)
        part = None if ignored else kind.part_of(info.name)
        belongs = (part.sample, part.role) if isinstance(part, Part) else (None, None)
        yield info.name, info.generation, ignored, *belongs


def _named(storage: Storage, batch: str) -> Iterator[Named]:
    for entry in read_manifest(storage, batch):
        yield entry.object, entry.generation, entry.size, False
        for part in entry.parts or ():
            yield part.object, part.generation, part.size, True


def _settled(storage: Storage, below: str, kind: Kind) -> Iterator[Settled]:
    first, *others = kind.roles
    for info in storage.list():
        batch, _, name = info.name.partition("/")
        if name.startswith(below) and name:
            name = name.removeprefix(below)
            part = kind.part_of(name) if others else None
            yield batch, name, info.size, isinstance(part, Part) and part.role != first


def _examples(storage: Storage, number: int) -> Iterator[Example]:
    for sample in read_samples(storage, number):
        if sample.fate in (SampleFate.TRAIN, SampleFate.EVAL):
            yield sample.object, sample.generation, sample.content, sample.truth


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
