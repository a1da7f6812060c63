"""The task that waits for samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException

from ml.settings import load_settings
from respan.data_sufficiency import look
from respan.failures import told_to_airflow
from respan.triggers.data_sufficiency import DataSufficiencyTrigger


class DataSufficiencySensor(BaseOperator):
    """Waits until the inbox of ``pipeline`` holds enough for an evaluation and no batch is open.

    Looks once, then waits in the triggerer and holds no worker. It waits as long as it takes: how long samples stay
    away is nothing that a timeout knows. Returns the number of samples, counted no further than needed.
    """

    template_fields: Sequence[str] = ("pipeline",)
    ui_color = "#e6f7ec"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Context) -> int:
        with told_to_airflow():
            state = look(load_settings(self.pipeline))
        self.log.info("%s", state)
        if not state.ready:
            self.defer(trigger=DataSufficiencyTrigger(self.pipeline), method_name="execute_complete")
        return state.stock.samples

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> int:
        if event is None:
            raise AirflowException("the trigger ended without an event")
        samples: int = event["samples"]
        return samples
