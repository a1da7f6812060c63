"""Whether a watched branch has a revision that nobody has processed, and who may process it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.ci_cd.revisions import check_branch_name, claimed, processed
from ml.errors import SettingsError
from ml.home import pipeline_storage
from ml.settings import Settings

if TYPE_CHECKING:
    from respan.hooks.git import GitRemoteHook


@dataclass(frozen=True, slots=True)
class BranchState:
    """What one look at a branch told: its ``head``, the revision ``processed`` last (None: none yet), and the
    ``holder``, the run that has claimed the head (None: nobody)."""

    branch: str
    head: str
    processed: str | None
    holder: str | None

    @property
    def is_new(self) -> bool:
        return self.head != self.processed and self.holder is None

    def __str__(self) -> str:
        if self.head == self.processed:
            return f"{self.branch} is at {self.head}, which is processed"
        if self.holder is not None:
            return f"{self.branch} is at {self.head}, which run {self.holder} has claimed"
        return f"{self.branch} has the new revision {self.head}"


def watched_branch(settings: Settings, branch: str | None) -> str:
    """``branch``, or that of the settings where none is given. Raises ``SettingsError``."""
    return check_branch_name(branch or settings.ci_cd.branch)


def remote(settings: Settings) -> GitRemoteHook:
    """The pipeline's remote. Raises ``SettingsError`` where it has none."""
    from respan.hooks.git import GitRemoteHook

    if settings.ci_cd.remote is None:
        raise SettingsError(f"pipeline {settings.name} has no repository: set ci_cd.remote in its settings.yaml")
    return GitRemoteHook(settings.ci_cd.remote, settings.ci_cd.connection)


async def look(settings: Settings, branch: str | None) -> BranchState:
    """Looks at the remote and at storage, without ever holding the loop. Raises the errors of ``ml.errors``."""
    name = watched_branch(settings, branch)
    head = await remote(settings).head_async(name)
    return await asyncio.to_thread(_state, settings.name, name, head)


def _state(pipeline: str, branch: str, head: str) -> BranchState:
    storage = pipeline_storage(pipeline)
    last, claim = processed(storage, branch), claimed(storage, head)
    return BranchState(branch, head, last.revision if last else None, claim.run if claim else None)


def refusal(revision: str, holder: str, state: str | None, *, asked: bool, again: bool) -> str | None:
    """Why a run may not take ``revision`` over from the run ``holder``, one line; None where it may.

    :param state: the holder's state in Airflow; None: there is no such run any more.
    :param asked: whether somebody asks for this revision or run, and not an event, a schedule or who waits for news.
    :param again: whether what is processed already is wanted.
    """
    held = f"revision {revision} belongs to run {holder}"
    if state in ("queued", "running"):
        return f"{held}, which is {state}: nothing to do here"
    if state == "success":
        again_by_hand = "to process it again, start a run by hand with the scope modules or whole"
        return None if again and asked else f"{held}, which has succeeded; {again_by_hand}"
    if not asked:
        told = f"is {state}: clear its failed task" if state else "is gone: start a run by hand"
        return f"{held}, which {told}, or push a new commit"
    return None
