"""Fields that several trigger forms have."""

from __future__ import annotations

from airflow.sdk import Param

from ml.ci_cd.names import REVISION_PATTERN
from ml.records import TrainingCause
from ml.runs import INSTALLED

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

TRAINED_REVISION = Param(
    None,
    type=["null", "string"],
    pattern=f"{REVISION_PATTERN}|^{INSTALLED}$",
    title="Revision",
    description="Full id of the commit whose shipped modules the run is trained with; the image follows. "
    f"{INSTALLED}: with the installed code. Empty: as the version that serves.",
)
