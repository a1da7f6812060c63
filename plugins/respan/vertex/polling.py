"""One look at a pipeline job for all who wait for it in one event loop, such as that of Airflow's triggerer.

Needs nothing of the triggerer: any coroutine may :func:`watch` a job. However many do, one poll looks at the job, once
in each interval, and one channel leads to each region for each connection. Both end with the last who needs them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from ml.errors import RespanError
from respan.vertex.connection import connection_errors
from respan.vertex.console import ResourceName
from respan.vertex.failures import google_errors
from respan.vertex.job_report import report
from respan.vertex.operations import CALL_SECONDS, pause
from respan.vertex.shared import Shared

#: Intervals are so much longer or shorter, by chance, lest all polls look at once.
_JITTER = 0.1

_CANCELS = 3


@dataclass(frozen=True, slots=True)
class Look:
    """News of a job: the ``PipelineJob`` message of protobuf, or why there is none.

    ``refused``: looking again doesn't help, so the poll has ended; ``trouble`` says what does help.
    """

    job: Any = None
    trouble: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class _Watched:
    job: str
    connection: str
    poll_seconds: float

    @property
    def place(self) -> tuple[str, str]:
        """Connection and region: who has them in common shares a channel."""
        return self.connection, ResourceName.parse(self.job).region


class JobPoll:
    """Looks at one job until it has ended, or can't be looked at."""

    def __init__(self, watched: _Watched) -> None:
        self._watched = watched
        self._look = Look()
        self._count = 0
        self._news = asyncio.Event()
        self._client: Any = None
        self._polling = asyncio.create_task(self._poll())

    async def after(self, count: int) -> tuple[int, Look]:
        """The newest look, once there were more than ``count``, and how many there were. Looks that tell nothing new
        don't count."""
        while self._count <= count:
            await self._news.wait()
        return self._count, self._look

    async def end(self) -> None:
        self._polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._polling

    async def _poll(self) -> None:
        failures = 0
        async with contextlib.AsyncExitStack() as channels:
            while True:
                look = await self._next_look(channels)
                failures = failures + 1 if look.trouble else 0
                if look != self._look:
                    self._tell(look)
                if look.refused or (look.job is not None and report(look.job).state.is_final):
                    return
                seconds = pause(self._watched.poll_seconds, failures)
                await asyncio.sleep(seconds * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311

    def _tell(self, look: Look) -> None:
        self._look = look
        self._count += 1
        self._news.set()
        self._news = asyncio.Event()

    async def _next_look(self, channels: contextlib.AsyncExitStack) -> Look:
        watched = self._watched
        try:
            if self._client is None:
                self._client = await channels.enter_async_context(_clients.use(watched.place))
            with google_errors(f"look at pipeline job {watched.job}"):
                found = await self._client.get_pipeline_job(request={"name": watched.job}, timeout=CALL_SECONDS)
        except RespanError as error:
            return Look(trouble=str(error), refused=not error.retryable)
        except Exception as error:  # whatever it is, nobody starts a poll again that ended
            return Look(trouble=f"can't look at pipeline job: {type(error).__name__}: {' '.join(str(error).split())}")
        return Look(job=type(found).pb(found))


@contextlib.asynccontextmanager
async def watch(job: str, connection: str, poll_seconds: float) -> AsyncIterator[JobPoll]:
    """The poll of ``job`` (its resource name), while the block lasts."""
    async with _polls.use(_Watched(job, connection, poll_seconds)) as poll:
        yield poll


async def cancel(job: str, connection: str) -> None:
    """Asks ``job`` to end soon; nothing where it has ended, or is being cancelled. Raises ``RespanError``."""
    from google.api_core.exceptions import FailedPrecondition

    async with _clients.use((connection, ResourceName.parse(job).region)) as client:
        for left in reversed(range(_CANCELS)):
            try:
                with google_errors(f"cancel pipeline job {job}"), contextlib.suppress(FailedPrecondition):
                    await client.cancel_pipeline_job(request={"name": job}, timeout=CALL_SECONDS / _CANCELS / 2)
                return
            except RespanError as error:
                if not error.retryable or not left:
                    raise
            await asyncio.sleep(1.0)


async def _open(place: tuple[str, str]) -> Any:
    """An asynchronous client. Imports, connection and credentials block, so they are had in threads."""
    connection, region = place
    hook = await asyncio.to_thread(_hook, connection)
    with connection_errors(connection):
        blocking = await hook.get_sync_hook()  # in a thread of its own
        await asyncio.to_thread(blocking.get_credentials)  # which the hook keeps
        return await hook.get_pipeline_service_client(region)


def _hook(connection: str) -> Any:
    from airflow.providers.google.cloud.hooks.vertex_ai.pipeline_job import PipelineJobAsyncHook

    with connection_errors(connection):
        return PipelineJobAsyncHook(gcp_conn_id=connection)


async def _close(client: Any) -> None:
    await client.transport.close()


_clients: Shared[tuple[str, str], Any] = Shared(_open, _close)


async def _begin(watched: _Watched) -> JobPoll:
    return JobPoll(watched)


_polls: Shared[_Watched, JobPoll] = Shared(_begin, JobPoll.end)
