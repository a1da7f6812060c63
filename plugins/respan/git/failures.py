"""Why a remote gave nothing: git's words as one of our errors."""

from __future__ import annotations

import re

from ml.ci_cd.output import without_control
from ml.errors import DataError, RemoteError, RespanError, StorageError
from respan.git.process import GitFailedError

_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system", re.IGNORECASE)
_BAD_NAME = re.compile(r"invalid path|File name too long")
_UNTRUSTED_HOST = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")
_REFUSED = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission denied \(|Access denied|"
    r"returned error: 40[13]|Too many authentication failures",
    re.IGNORECASE,
)
_NO_REPOSITORY = re.compile(
    r"repository '.*' (not found|does not exist)|Repository not found|returned error: (404|410)|"
    r"does not appear to be a git repository|not a git repository",
    re.IGNORECASE,
)
_OWNER = re.compile(r"dubious ownership")
_REDIRECT = re.compile(r"url base from redirection|returned error: 30[1278]")
_REFUSED_OBJECT = re.compile(r"fsck error|^error: object [0-9a-f]+: ", re.MULTILINE)
_UNREACHABLE = re.compile(
    r"unable to access|unable to connect|Could not resolve|Connection (refused|reset|closed|timed out)|timed out|"
    r"early EOF|hung up unexpectedly|RPC failed|Could not read from remote|unexpected disconnect|ssh: |remote error:|"
    r"expected flush|invalid index-pack|bad line length|protocol error|transport '.*' not allowed",
    re.IGNORECASE,
)

#: The remote doesn't have an object that was asked for by its id, or gives out none that no branch points at.
NOT_THERE = re.compile(r"not our ref|no such remote ref|couldn't find remote ref")
ONLY_BRANCHES = re.compile(
    r"does not allow request for unadvertised object|dumb http transport does not support|does not support shallow"
)


def remote_failure(remote: str, failed: GitFailedError) -> RespanError | None:
    """The error for a call to ``remote`` that failed: ``RemoteError``, ``StorageError`` for a full disk here,
    ``DataError`` for objects that git refuses. None where git's words name neither: it may be the local side's fault.
    """
    said = failed.stderr
    if _NO_ROOM.search(said):
        return local_failure(failed)
    if failed.exit_code is None:
        return RemoteError(f"{remote} gave no answer in time: is it up, and can this machine reach it?")
    if _UNTRUSTED_HOST.search(said):
        return RemoteError(
            f"{remote}: the server's SSH key is not known here: add it to known_hosts, or to the file that "
            "known_hosts_file in the connection's extras names"
        )
    if _REFUSED.search(said):
        return RemoteError(f"{remote} refused the credentials: check the connection that ci_cd.connection names")
    if _OWNER.search(said):
        return RemoteError(f"{remote} belongs to another user, so git doesn't open it: change its owner, or use ssh://")
    if _NO_REPOSITORY.search(said):
        return RemoteError(f"{remote} is no git repository, or these credentials may not see it: check ci_cd.remote")
    if _REDIRECT.search(said):
        return RemoteError(f"{remote} redirects elsewhere, where credentials don't follow: put the new address there")
    if _REFUSED_OBJECT.search(said):
        return DataError(f"{remote} holds an object that git refuses: {_refused_object(said)}")
    if _UNREACHABLE.search(said):
        return RemoteError(f"can't reach {remote}: {failed.reason}")
    return None


def local_failure(failed: GitFailedError) -> RespanError | None:
    """The error for a call to git on this machine that no other mirror would help: ``StorageError`` for a full or
    read-only disk, ``DataError`` for a name that can't be written. None for any other reason."""
    if _NO_ROOM.search(failed.stderr):
        return StorageError(f"can't write below RESPAN_HOME: {failed.reason}: free space there")
    if _BAD_NAME.search(failed.stderr):
        return DataError(f"the revision can't be checked out: {failed.reason}: rename that file")
    return None


def _refused_object(said: str) -> str:
    line = next((line for line in said.splitlines() if re.match(r"error: object [0-9a-f]+: ", line)), "")
    return without_control(line).removeprefix("error: ") or "fsck failed"
