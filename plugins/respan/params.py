"""Fields that several trigger forms have."""

from __future__ import annotations

from airflow.sdk import Param

REASON = Param(
    "started by hand",
    type="string",
    minLength=1,
    maxLength=300,
    title="Reason",
    description="Why; recorded with the release.",
)
