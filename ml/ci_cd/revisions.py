"""Which revisions were processed, and which run processes which one: small documents, changed by compare and swap."""

from __future__ import annotations

from collections.abc import Iterator

from ml import layout
from ml.ci_cd.names import check_branch, check_revision, is_revision
from ml.ci_cd.records import ProcessedRevision, RevisionClaim, Shipped
from ml.errors import ConflictError, NotFoundError, SettingsError, StorageError
from ml.names import safe_id
from ml.records import now
from ml.storage import ABSENT, Storage

_ATTEMPTS = 20


def claim(storage: Storage, revision: str, *, run: str) -> RevisionClaim:
    """The holder's claim of ``revision``: that of ``run``, if nobody has one.

    The first run wins, whatever becomes of it, and a repeat by the same run gets its own claim again. Only
    :func:`take_over` gives a revision to another run. Raises ``SettingsError`` for what isn't a full commit id.
    """
    name = _claim_name(revision)
    mine = RevisionClaim(run=run, since=now())
    try:
        storage.write(name, mine.to_json(), if_generation=ABSENT)
    except ConflictError:
        return RevisionClaim.from_json(storage.read(name))
    return mine


def claimed(storage: Storage, revision: str) -> RevisionClaim | None:
    """Who holds ``revision``, None where nobody does. Claims nothing."""
    found = _read(storage, _claim_name(revision))
    return RevisionClaim.from_json(found[0]) if found else None


def claims(storage: Storage) -> Iterator[tuple[str, RevisionClaim]]:
    """Every claimed revision with its claim, in no order."""
    for folder in storage.folders(layout.REVISIONS):
        found = claimed(storage, folder) if is_revision(folder) else None
        if found is not None:
            yield folder, found


def take_over(storage: Storage, revision: str, *, run: str, from_run: str) -> RevisionClaim:
    """Gives the revision that ``from_run`` holds to ``run``. A repeat returns the claim that ``run`` has already.

    Raises ``ConflictError``, and changes nothing, where somebody else holds it: of several who take over at once, one
    does.
    """
    name = _claim_name(revision)
    found = _read(storage, name)
    if found is None:
        raise NotFoundError(f"nobody has claimed revision {revision}: there is nothing to take over")
    current = RevisionClaim.from_json(found[0])
    if current.run == run:
        return current
    if current.run != from_run:
        raise ConflictError(f"revision {revision} is held by {current.run}, no longer by {from_run}: start again")
    mine = RevisionClaim(run=run, since=now())
    try:
        storage.write(name, mine.to_json(), if_generation=found[1])
    except ConflictError:
        raise ConflictError(f"revision {revision} was taken from {from_run} by another run: start again") from None
    return mine


def processed(storage: Storage, branch: str) -> ProcessedRevision | None:
    """What of ``branch`` went all the way last; None before the first. ``SettingsError`` for what can't be a branch."""
    found = _read(storage, _branch_name(branch))
    return _of_branch(branch, found[0]) if found else None


def all_processed(storage: Storage) -> list[ProcessedRevision]:
    """:func:`processed` of every branch that has one, by the branch's name."""
    found = (ProcessedRevision.from_json(storage.read(info.name)) for info in storage.list(layout.BRANCHES))
    return sorted(found, key=lambda record: record.branch)


def record_processed(storage: Storage, record: ProcessedRevision) -> ProcessedRevision:
    """Says that ``record.revision`` went all the way, and returns what its branch's document says then.

    A repeat by the same run for the same revision changes nothing. Of different ones the later ``at`` stays, whatever
    the order of the writes. So a run of an older revision that is cleared, and ends after that of a newer one, does put
    its own revision there: it shipped last, and the next change, compared with it, has all that the newer one had. That
    may do work twice; the other way round a change could be lost.
    """
    check_revision_name(record.revision)
    name = _branch_name(record.branch)
    for _ in range(_ATTEMPTS):
        found = _read(storage, name)
        current = _of_branch(record.branch, found[0]) if found else None
        if current is not None and (_same(current, record) or current.at > record.at):
            return current
        try:
            storage.write(name, record.to_json(), if_generation=found[1] if found else ABSENT)
        except ConflictError:
            continue
        return record
    raise StorageError(f"{storage.root}/{name} is being changed all the time: try again")


def shipped(storage: Storage) -> Shipped | None:
    """The revision whose modules were copied last; None where none were."""
    found = _read(storage, layout.SHIPPED)
    return Shipped.from_json(found[0]) if found else None


def check_revision_name(revision: str) -> str:
    """``revision`` if it is a full commit id; else ``SettingsError``."""
    try:
        return check_revision(revision)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def check_branch_name(branch: str) -> str:
    """``branch`` if it can name one; else ``SettingsError``."""
    try:
        return check_branch(branch)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _claim_name(revision: str) -> str:
    return layout.revision(check_revision_name(revision), layout.CLAIM)


def _branch_name(branch: str) -> str:
    return layout.branch(safe_id(check_branch_name(branch)))


def _of_branch(branch: str, document: bytes) -> ProcessedRevision | None:
    """The document, unless it is that of a branch which is named like this one's identifier."""
    record = ProcessedRevision.from_json(document)
    return record if record.branch == branch else None


def _same(one: ProcessedRevision, other: ProcessedRevision) -> bool:
    return (one.revision, one.scope, one.run) == (other.revision, other.scope, other.run)


def _read(storage: Storage, name: str) -> tuple[bytes, str] | None:
    """An object with its generation, None where there is none."""
    for _ in range(_ATTEMPTS):
        try:
            info = storage.stat(name)
        except NotFoundError:
            return None
        try:
            return storage.read(name, generation=info.generation), info.generation
        except NotFoundError:
            continue  # replaced between the two
    raise StorageError(f"{storage.root}/{name} is being changed all the time: try again")
