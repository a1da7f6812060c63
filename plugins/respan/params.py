"""Fields that several trigger forms have."""

from __future__ import annotations

from airflow.sdk import Param

from ml.records import TrainingCause

REASON = Param(
    None,
    type=["null", "string"],
    minLength=1,
    maxLength=300,
    title="Reason",
    description="Why; recorded with the run and the release.",
)

CAUSE = Param(
    None,
    type=["null", "string"],
    enum=[None, *(cause.value for cause in TrainingCause)],
    title="Cause",
    description="What starts the run. Filled in by the retraining; empty: by hand, or on schedule.",
)
