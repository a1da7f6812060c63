"""A bare repository on this machine with the revisions of one remote that are in use."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ml.errors import NotFoundError, StorageError
from ml.home import home
from respan.git.failures import NOT_THERE, ONLY_BRANCHES, local_failure, remote_failure
from respan.git.process import GitFailedError, run_git, stream_git
from respan.git.remote import Remote, git_environment

if TYPE_CHECKING:
    from respan.hooks.git import GitRemoteHook  # which imports this package

#: A mirror that holds more than twice as many revisions is reduced to these, the last used ones.
KEPT_REVISIONS = 20

FETCH_SECONDS = 3_600.0
_LOCAL_SECONDS = 1_800.0
_LONG_ID = 64

_Result = TypeVar("_Result")
log = logging.getLogger(__name__)


def with_mirror(hook: GitRemoteHook, revision: str, use: Callable[[Mirror], _Result]) -> _Result:
    """What ``use`` returns for the mirror of the hook's remote, which nobody else uses meanwhile.

    A mirror in which git fails is damaged: it is deleted, and ``use`` called once more with a new one. Raises
    ``StorageError`` where that fails too, or the disk is full.
    """
    folder = home() / "ci_cd" / "mirrors"
    # Its objects' ids are of one kind; a remote that was moved from SHA-1 to SHA-256 gets another mirror.
    kind = "sha256" if len(revision) == _LONG_ID else "sha1"
    name = hashlib.sha256(f"{kind} {hook.remote}".encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{name}.lock") as lock:
        mirror = Mirror(folder / f"{name}.git", hook, kind, lock)
        try:
            mirror.make()
            return use(mirror)
        except GitFailedError as failed:
            if told := local_failure(failed):
                raise told from None
            log.warning("the mirror of %s is damaged and made anew: %s", hook.remote, failed)
        try:
            mirror.discard()
            mirror.make()
            return use(mirror)
        except GitFailedError as failed:
            raise local_failure(failed) or StorageError(f"git fails in {folder}: {failed}") from None


class Mirror:
    """The bare repository ``folder``. Whoever has it holds its lock, and so do the git processes that it starts: after
    a ``kill -9`` the next one comes only when the last of them has ended.

    Each revision in it is complete, without history (a shallow fetch), and named by a reference of its own.
    """

    def __init__(self, folder: Path, hook: GitRemoteHook, kind: str, lock: int) -> None:
        self.folder = folder
        self._hook = hook
        self._kind = kind
        self._lock = lock
        self._environment = git_environment(Remote(str(folder), hook.transport, on_this_machine=True))

    def make(self) -> None:
        """Makes the repository if there is none."""
        for left in self.folder.parent.glob(f"{self.folder.name}.*"):
            _delete(left)
        if self.folder.exists():
            return
        half = self._beside()
        arguments = ["init", "--quiet", "--bare", "--template=", f"--object-format={self._kind}", "--", str(half)]
        run_git(arguments, self._environment, seconds=_LOCAL_SECONDS)
        half.rename(self.folder)

    def discard(self) -> None:
        """Deletes the repository."""
        with contextlib.suppress(FileNotFoundError):
            aside = self._beside()
            self.folder.rename(aside)
            _delete(aside)

    def bring(self, revision: str) -> bool:
        """Sees to it that ``revision`` is here; returns whether it had to be fetched.

        Raises ``NotFoundError`` where the remote doesn't have it (any more), and what
        :func:`respan.git.failures.remote_failure` tells.
        """
        fetched = not self._has(revision)
        if fetched:
            self._clean_up()
            self._fetch(revision)
            self._reduce()
        used = self.folder / "used"
        used.mkdir(exist_ok=True)
        (used / revision).touch()
        return fetched

    def git(self, *arguments: str, stdin: bytes = b"", cwd: Path | None = None, **variables: str) -> bytes:
        """What git writes, called in this repository, with the environment ``variables`` added."""
        return run_git(
            [f"--git-dir={self.folder}", *arguments],
            {**self._environment, **variables},
            seconds=_LOCAL_SECONDS,
            stdin=stdin,
            cwd=cwd,
            keep_open=[self._lock],
        )

    def stream(self, *arguments: str) -> Generator[bytes, None, None]:
        """The same for records that end with a NUL, as they come."""
        return stream_git([f"--git-dir={self.folder}", *arguments], self._environment, keep_open=[self._lock])

    def _has(self, revision: str) -> bool:
        try:
            found = self.git("rev-parse", "--quiet", "--verify", f"{_reference(revision)}^{{commit}}")
        except GitFailedError as failed:
            if failed.exit_code == 1:
                return False
            raise
        return found.decode().strip() == revision

    def _fetch(self, revision: str) -> None:
        try:
            self._fetch_from_remote(["--depth=1"], f"+{revision}:{_reference(revision)}")
        except GitFailedError as failed:
            if ONLY_BRANCHES.search(failed.stderr):
                self._fetch_branches(revision)
            elif NOT_THERE.search(failed.stderr):
                raise NotFoundError(
                    f"{self._hook.remote} has no commit {revision} (any more): a forced push may have dropped it"
                ) from None
            else:
                raise
        if not self._has(revision):
            raise NotFoundError(f"{revision} is no commit of {self._hook.remote}: give a commit's full id")

    def _fetch_branches(self, revision: str) -> None:
        """For servers that give out only what a branch points at, or know no shallow fetch."""
        log.info("%s doesn't give out single commits: all its branches are fetched", self._hook.remote)
        whole = ["--unshallow"] if (self.folder / "shallow").exists() else []
        self._fetch_from_remote(["--prune", *whole], "+refs/heads/*:refs/heads/*")
        try:
            self.git("cat-file", "-e", f"{revision}^{{commit}}")
        except GitFailedError:
            raise NotFoundError(f"no branch of {self._hook.remote} has the commit {revision} (any more)") from None
        self.git("update-ref", _reference(revision), revision)

    def _fetch_from_remote(self, options: Sequence[str], refspec: str) -> None:
        arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", *options]
        with self._hook.environment() as environment:
            try:
                run_git(
                    [f"--git-dir={self.folder}", *arguments, "--", self._hook.remote, refspec],
                    environment,
                    seconds=FETCH_SECONDS,
                    keep_open=[self._lock],
                )
            except GitFailedError as failed:
                if ONLY_BRANCHES.search(failed.stderr) or NOT_THERE.search(failed.stderr):
                    raise
                if told := remote_failure(self._hook.remote, failed):
                    raise told from None
                raise

    def _reduce(self) -> None:
        """Forgets the revisions that were not used for longest, once there are twice as many as are kept."""
        listed = self.git("for-each-ref", "--format=%(refname)", "refs/respan").decode().split()
        if len(listed) <= 2 * KEPT_REVISIONS:
            return
        listed.sort(key=lambda reference: self._used_at(reference.rpartition("/")[2]), reverse=True)
        self.git(
            "update-ref", "--stdin", stdin="".join(f"delete {name}\n" for name in listed[KEPT_REVISIONS:]).encode()
        )
        self.git("repack", "-a", "-d", "-q")
        self.git("prune", "--expire=now")
        kept = {reference.rpartition("/")[2] for reference in listed[:KEPT_REVISIONS]}
        for mark in (self.folder / "used").iterdir():
            if mark.name not in kept:
                mark.unlink(missing_ok=True)

    def _used_at(self, revision: str) -> float:
        """Revisions without a mark were fetched just now, or in a call that was killed."""
        try:
            return (self.folder / "used" / revision).stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def _clean_up(self) -> None:
        """Removes what killed git processes left: their lock files would stop every later one."""
        packs = self.folder / "objects" / "pack"
        for folder, pattern in (
            (self.folder, "*.lock"),
            (self.folder / "refs", "**/*.lock"),
            (packs, "*.lock"),
            (packs, "*.keep"),
            (packs, "tmp_*"),
            (packs, ".tmp-*"),
            (self.folder / "objects", "*/tmp_obj_*"),
        ):
            for left in folder.glob(pattern):
                left.unlink(missing_ok=True)

    def _beside(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{uuid.uuid4().hex}")


def _reference(revision: str) -> str:
    return f"refs/respan/{revision}"


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[int]:
    with file.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another task that uses the same mirror")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream.fileno()
