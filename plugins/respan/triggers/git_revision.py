"""Waits in the triggerer for a new revision of a branch, or for a remote to answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from ml.errors import RemoteError, RespanError
from ml.settings import load_settings
from respan.git_revision import BranchState, look, remote, watched_branch

#: Seconds between two looks until the settings could be read.
_POLL_SECONDS = 30.0


class GitRevisionTrigger(BaseEventTrigger):
    """Fires each time a branch's head is a revision that is neither processed nor claimed by any run.

    For the sensor, which takes the first event, and for an ``AssetWatcher``, which takes them all. The payload is
    ``{"pipeline", "branch", "revision"}``. Of several pushes between two looks the newest is told; a revision is told
    once, and again after a restart of the triggerer if no run has claimed it by then. A revision whose run failed is
    claimed, so it is not told again: retry the run, or push.

    The settings are read again at each look, so that a change of ``ci_cd`` counts for who waits already. No error ends
    the waiting (an outage, a branch that isn't there yet, a settings file half edited): it is logged once, and the next
    look tries again.

    :param branch: None for the settings' ``ci_cd.branch``.
    """

    def __init__(self, pipeline: str, branch: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline = pipeline
        self.branch = branch
        self._poll_seconds = _POLL_SECONDS

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return _class_path(self), {"pipeline": self.pipeline, "branch": self.branch}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        said = fired = ""
        while True:
            state, message = await self._look()
            if message != said:
                self.log.info("%s", message)
                said = message
            if state is not None and state.is_new and state.head != fired:
                yield _event({"pipeline": self.pipeline, "branch": state.branch, "revision": state.head})
                fired = state.head
            await asyncio.sleep(self._poll_seconds)

    async def _look(self) -> tuple[BranchState | None, str]:
        try:
            settings = await asyncio.to_thread(load_settings, self.pipeline)
            self._poll_seconds = settings.ci_cd.poll_seconds
            state = await look(settings, self.branch)
        except RespanError as error:
            return None, f"can't tell: {error}"
        except Exception as error:  # nobody starts a watcher again that ended
            return None, f"can't tell: {type(error).__name__}: {' '.join(str(error).split())}"
        return state, str(state)


class GitRemoteTrigger(BaseTrigger):
    """Fires when the remote of ``pipeline`` answers, or can't be reached until the time ``until``.

    The payload is ``{"until": until}``, with the last ``error`` as well where time was up. Waits first: who asks has
    just found the remote unreachable.

    :param until: seconds since the epoch, so that neither a restart of the triggerer nor a second wait begins anew.
    """

    def __init__(self, pipeline: str, branch: str | None, until: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline = pipeline
        self.branch = branch
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return _class_path(self), {"pipeline": self.pipeline, "branch": self.branch, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        error = None
        while error is None or time.time() < self.until:
            try:
                settings = await asyncio.to_thread(load_settings, self.pipeline)
                await asyncio.sleep(min(settings.ci_cd.poll_seconds, max(0.0, self.until - time.time())))
                await remote(settings).head_async(watched_branch(settings, self.branch))
            except RemoteError as unreachable:
                error = str(unreachable)
                self.log.info("%s", error)
                continue
            except RespanError as other:
                self.log.info("%s", other)  # it answered; the task looks again, and tells
            yield _event({"until": self.until})
            return
        yield _event({"until": self.until, "error": error})


def _class_path(trigger: BaseTrigger) -> str:
    return f"{type(trigger).__module__}.{type(trigger).__qualname__}"


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
