"""Names that come from a git remote or a trigger form, checked before anything is done with them."""

from __future__ import annotations

import re

#: A full commit id, of a repository with SHA-1 or SHA-256 objects.
REVISION_PATTERN = "^([0-9a-f]{40}|[0-9a-f]{64})$"

_REVISION = re.compile(REVISION_PATTERN)
_FORBIDDEN_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/\.|[/.]$|\.lock(/|$)|^@$")
_LONGEST_BRANCH = 200


def is_revision(text: str) -> bool:
    """Whether ``text`` is a full commit id."""
    return _REVISION.fullmatch(text) is not None


def check_revision(revision: str) -> str:
    """``revision`` if it is a full commit id; else ``ValueError``, one line."""
    if not is_revision(revision):
        raise ValueError(f"{revision[:80]!r} is no revision: give the commit's full id, 40 or 64 hexadecimal digits")
    return revision


def check_branch(branch: str) -> str:
    """``branch`` if git would take it for a branch's name (git-check-ref-format); else ``ValueError``, one line."""
    if not branch or len(branch) > _LONGEST_BRANCH or _FORBIDDEN_IN_BRANCH.search(branch):
        raise ValueError(f"{branch[:80]!r} can't name a branch")
    return branch
