"""What one DAG asks of the next: a training on a batch, with its cause. And how a training run learns its cause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from pydantic import Field, ValidationError

from ml.records import Record, TrainingCause

#: A batch's id (see ``ml.names.safe_id``), which never passes for an option of a command.
BATCH_PATTERN = "^[a-z0-9][a-z0-9-]*$"

#: Types of the DAG runs that Airflow makes of a schedule.
_ON_SCHEDULE = ("scheduled", "backfill")


class TrainingRequest(Record, extra="ignore"):  # Airflow adds keys of its own to events from its REST API
    """The extra of a *needs training* event, and what the retraining DAG goes by. ``reason`` is one line for people;
    ``verdict`` and ``report`` (its URI) are None before the first release, and where a person asks."""

    batch: str = Field(pattern=BATCH_PATTERN)
    cause: TrainingCause
    reason: str
    verdict: str | None = None
    report: str | None = None

    @classmethod
    def from_event(cls, extra: Mapping[str, Any]) -> TrainingRequest:
        """Raises ``AirflowFailException`` for an event of somebody else, such as one made by hand in Airflow's UI."""
        try:
            return cls.model_validate(extra)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise AirflowFailException(
                f"the asset event names no training to do ({key}: {first['msg'].lower()}): to start one by hand, "
                "trigger this DAG with its form"
            ) from None

    def to_json_dict(self) -> dict[str, Any]:
        """What may be an event's extra or a task's output."""
        return self.model_dump(mode="json")


def cause_of_run(run_type: str, given: str | None) -> TrainingCause:
    """Why a training run starts: what its trigger says (``given``), else by its type in Airflow."""
    if given is not None:
        return TrainingCause(given)
    return TrainingCause.SCHEDULE if run_type in _ON_SCHEDULE else TrainingCause.MANUAL


def not_released(trained: Mapping[str, Any]) -> str | None:
    """Why what :class:`respan.operators.training.TriggerTrainingOperator` returned is no release, one line; None where
    it is one."""
    if (trained["release"] or {}).get("version") is not None:
        return None
    return f"training run {trained['run_id']} released nothing: its candidate was not blessed or not approved"
