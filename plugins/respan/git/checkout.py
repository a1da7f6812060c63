"""The checkout of one revision, in the workspace of one run."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.ci_cd.names import check_revision
from ml.errors import NotFoundError, SettingsError
from ml.settings import Settings
from ml.storage.file_names import told
from respan.git.mirror import Mirror, with_mirror
from respan.git.tree import Entry, check_links, checked, parse_entry
from respan.git.workspace import Workspace, told_as_storage_error

if TYPE_CHECKING:
    from respan.hooks.git import GitRemoteHook

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkout:
    """A revision's files in the folder ``path``, without any of git's own.

    ``changed`` are the paths that differ between the previous revision and this one, relative to the repository's root,
    a renamed file with both its names; a name that isn't UTF-8 is told as in :mod:`ml.storage.file_names`. None: no
    previous revision was given, or the remote dropped it. ``changed_file`` holds them as a JSON list, or null.
    """

    path: Path
    revision: str
    changed: list[str] | None
    changed_file: Path | None
    _workspace: Workspace

    def content(self, paths: Sequence[str]) -> str:
        """A hash (SHA-256, hex) of all files at or below ``paths``: names, modes and contents at the revision.

        A path is relative to the repository's root, "" is everything; one that isn't there counts as empty.
        """
        wanted = sorted({os.fsencode(path).strip(b"/") for path in paths})
        hashed = hashlib.sha256(b"\0".join(wanted))
        for entry in self._workspace.entries():
            if any(not path or entry.path == path or entry.path.startswith(path + b"/") for path in wanted):
                hashed.update(b"\0%s %s %s\n" % (entry.mode, entry.object_id.encode(), entry.path))
        return hashed.hexdigest()


def ensure_checkout(settings: Settings, run_id: str, revision: str, previous: str | None) -> Checkout:
    """The checkout of ``revision`` of the remote in ``settings.ci_cd``, for the run ``run_id``.

    Free where an earlier step made it, and no file of it was touched since; else it is made (again) from the remote's
    mirror on this machine, which asks the remote only for revisions that it doesn't have. A kill at any moment leaves
    nothing that a later call would take for finished.

    Raises ``NotFoundError`` (the remote has no such revision), ``DataError`` (submodules, links that lead outside, too
    large), ``RemoteError`` (unreachable, refused), ``StorageError``, ``SettingsError``, ``MissingEnvironmentError``.
    """
    from respan.hooks.git import GitRemoteHook  # which imports this package

    if settings.ci_cd.remote is None:
        raise SettingsError(f"{settings.name}: set ci_cd.remote to the repository's address")
    for given in filter(None, (revision, previous)):
        _check(given)
    workspace = Workspace.of(settings.name, run_id)
    with told_as_storage_error(), workspace.locked():
        workspace.folder.mkdir(exist_ok=True)
        os.utime(workspace.folder)
        hook = GitRemoteHook(settings.ci_cd.remote, settings.ci_cd.connection)
        if not workspace.holds(revision):
            workspace.remove_leftovers()
            workspace.drop()
            _make(hook, workspace, revision)
        changed = None if previous is None else _changed(hook, workspace, previous, revision)
    file = None if previous is None else workspace.changed_file(previous, revision)
    return Checkout(workspace.source, revision, changed, file, workspace)


@contextlib.contextmanager
def own_checkout(settings: Settings, workspace: str, revision: str, previous: str | None = None) -> Iterator[Checkout]:
    """:func:`ensure_checkout` for one task alone, removed at its end: in a run's own one, code under test has left what
    it wrote. ``workspace`` stands for the run id, and names no other task's."""
    try:
        yield ensure_checkout(settings, workspace, revision, previous)
    finally:
        remove_workspace(settings.name, workspace)


def remove_workspace(pipeline: str, run_id: str) -> None:
    """Removes the checkout of the run ``run_id``, and all that its steps left beside it; nothing if there is none."""
    workspace = Workspace.of(pipeline, run_id)
    if workspace.folder.exists():
        with told_as_storage_error(), workspace.locked():
            workspace.remove()


def _make(hook: GitRemoteHook, workspace: Workspace, revision: str) -> None:
    def use(mirror: Mirror) -> None:
        source = "fetched from the remote" if mirror.bring(revision) else "from the mirror, nothing fetched"
        log.info("revision %s of %s: %s", revision, hook.remote, source)
        _list_tree(mirror, revision, workspace.tree)
        making = workspace.folder / f"making-{uuid.uuid4().hex}"
        files = making / "source"
        files.mkdir(parents=True)
        mirror.git(
            f"--work-tree={files}",
            *("read-tree", "--reset", "-u", revision),
            cwd=files,
            GIT_INDEX_FILE=str(making / "index"),
        )
        workspace.publish(revision, files)

    try:
        with_mirror(hook, revision, use)
    finally:
        workspace.remove_leftovers()


def _list_tree(mirror: Mirror, revision: str, file: Path) -> None:
    """Checks the revision's tree, and keeps its listing in ``file``."""
    links: list[Entry] = []
    listing = mirror.stream("ls-tree", "-r", "-l", "-z", "--full-tree", revision)
    with file.open("wb") as stream, contextlib.closing(listing):
        for entry in checked(map(parse_entry, listing)):
            stream.write(entry.record + b"\0")
            if entry.is_link:
                links.append(entry)
    check_links({entry.path: mirror.git("cat-file", "blob", entry.object_id) for entry in links})


def _changed(hook: GitRemoteHook, workspace: Workspace, previous: str, revision: str) -> list[str] | None:
    def use(mirror: Mirror) -> list[str] | None:
        mirror.bring(revision)
        try:
            mirror.bring(previous)
        except NotFoundError as gone:
            log.warning("what changed since the last processed revision is not known: %s", gone)
            return None
        names = mirror.stream("diff-tree", "-r", "-z", "--name-only", "--no-renames", previous, revision)
        return [told(os.fsdecode(name)) for name in names]

    return workspace.changed(previous, revision, ask=lambda: with_mirror(hook, revision, use))


def _check(revision: str) -> None:
    try:
        check_revision(revision)
    except ValueError as error:
        raise SettingsError(str(error)) from None
