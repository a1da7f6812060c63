"""Waits in the triggerer for a component of a pipeline job on Vertex AI, or for the whole job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ml.errors import RespanError
from respan.vertex import polling
from respan.vertex.job_report import State, report


class VertexJobTrigger(BaseTrigger):
    """Fires once: with a :class:`~respan.vertex.job_report.Report` when ``node`` has ended in ``job``, or with
    ``{"job", "refused": message}`` when looking at the job is refused for good.

    All triggers that wait for one job share its looks. Where a task is cleared or marked while it waits, the job is
    cancelled; where the triggerer ends, it is not.

    :param job: the job's resource name.
    :param node: the component's id; None waits for the job.
    :param connection: Airflow's connection to Google Cloud.
    :param poll_seconds: between two looks.
    """

    def __init__(self, job: str, node: str | None, connection: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job = job
        self.node = node
        self.connection = connection
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        keys = ("job", "node", "connection", "poll_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {key: getattr(self, key) for key in keys}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with polling.watch(self.job, self.connection, self.poll_seconds) as poll:
            count, told = 0, ""
            while True:
                count, look = await poll.after(count)
                if look.refused:
                    yield _event({"job": self.job, "refused": look.trouble})
                    return
                if look.trouble:
                    message = f"{look.trouble}; looking again"
                else:
                    found = report(look.job, self.node)
                    if found.state.is_final:
                        yield _event(found.to_json_dict())
                        return
                    message = f"{self.node or self.job} is {found.state.value}"
                    if found.state is State.PAUSED:
                        message += f": resume the job to go on, or cancel it: {found.link}"
                if message != told:
                    self.log.info("%s", message)
                    told = message

    async def on_kill(self) -> None:
        try:
            await polling.cancel(self.job, self.connection)
        except RespanError as error:
            self.log.error("%s", error)
            return
        self.log.info("cancelled %s", self.job)


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]
