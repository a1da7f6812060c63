"""Waits in the triggerer until a pipeline's inbox holds enough for an evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from ml.errors import RespanError
from ml.settings import Settings, load_settings
from respan.data_sufficiency import InboxState, look


class DataSufficiencyTrigger(BaseEventTrigger):
    """Fires each time the inbox of ``pipeline`` becomes ready: enough samples, and no open batch.

    For the sensor, which takes the first event, and for an ``AssetWatcher``, which takes them all. The settings are
    read again at each look, so a change of ``evaluation.min_samples`` or ``poll_seconds`` counts for who waits already.
    Storage is read in a thread; the triggerer's loop never waits for it. An error is logged and the next look tries
    again: an outage, or a settings file half edited, must not end the waiting.
    """

    def __init__(self, pipeline: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline = pipeline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (f"{type(self).__module__}.{type(self).__qualname__}", {"pipeline": self.pipeline})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        poll_seconds = 30.0
        told = ""
        was_ready = False
        while True:
            ready = False
            try:
                settings, state = await asyncio.to_thread(self._look)
                poll_seconds, ready, message = settings.evaluation.poll_seconds, state.ready, str(state)
            except RespanError as error:
                message = f"can't tell: {error}"
            if message != told:
                self.log.info("%s", message)
                told = message
            if ready and not was_ready:
                yield _event(self.pipeline, state.stock.samples)
            was_ready = ready
            await asyncio.sleep(poll_seconds)

    def _look(self) -> tuple[Settings, InboxState]:
        settings = load_settings(self.pipeline)
        return settings, look(settings)


def _event(pipeline: str, samples: int) -> TriggerEvent:
    return TriggerEvent({"pipeline": pipeline, "samples": samples})  # type: ignore[no-untyped-call]
