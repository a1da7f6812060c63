"""Why a training starts, on its way from one DAG to the next."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.types import DagRunType
from respan.training_request import TrainingRequest, cause_of_run

from ml.records import TrainingCause


def test_a_request_comes_through_an_event_unchanged() -> None:
    request = TrainingRequest(batch="b-1", cause=TrainingCause.DRIFT, reason="why", verdict="DRIFTED", report="r.html")
    assert TrainingRequest.from_event(request.to_json_dict()) == request


def test_keys_that_airflow_adds_to_an_event_are_left_aside() -> None:
    extra = {"batch": "b-1", "cause": "manual", "reason": "why", "from_rest_api": True}
    assert TrainingRequest.from_event(extra).batch == "b-1"


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ({}, "batch"),
        ({"batch": "b-1", "cause": "boredom", "reason": "why"}, "cause"),
        ({"batch": "--help", "cause": "drift", "reason": "why"}, "batch"),
        ({"batch": "../b", "cause": "drift", "reason": "why"}, "batch"),
    ],
)
def test_an_event_of_somebody_else_is_refused_in_one_line_that_names_the_key(extra: dict[str, str], key: str) -> None:
    with pytest.raises(AirflowFailException, match=key) as refused:
        TrainingRequest.from_event(extra)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("run_type", "given", "cause"),
    [
        (DagRunType.SCHEDULED, None, TrainingCause.SCHEDULE),
        (DagRunType.BACKFILL_JOB, None, TrainingCause.SCHEDULE),
        (DagRunType.MANUAL, None, TrainingCause.MANUAL),
        (DagRunType.OPERATOR_TRIGGERED, "degradation", TrainingCause.DEGRADATION),
        (DagRunType.MANUAL, "new_data", TrainingCause.NEW_DATA),
    ],
)
def test_a_training_run_knows_its_cause_from_its_trigger_or_its_type(
    run_type: DagRunType, given: str | None, cause: TrainingCause
) -> None:
    assert cause_of_run(run_type, given) is cause
