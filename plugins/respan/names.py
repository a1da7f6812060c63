"""What things are called in Airflow. Every name follows from the pipeline's."""

from __future__ import annotations

from typing import Any

from ml.ci_cd.names import check_revision
from ml.names import safe_id


def dag_id(pipeline: str, life_stage: str) -> str:
    """The id of one of a pipeline's DAGs; ``life_stage``: ``evaluation``, ``retraining``, ``training``, ``ci_cd``."""
    return f"{pipeline}.{life_stage}"


def retraining_run_id(run_id: str) -> str:
    """The id of the training run that ``run_id``, a run of the retraining DAG, starts: always the same one."""
    return f"retraining-{safe_id(run_id)}"


def ci_cd_training_run_id(revision: str, scope: str) -> str:
    """The id of the training run that a shipped revision starts: one for each revision and scope."""
    return f"ci-cd-{check_revision(revision)[:12]}-{scope}"


#: What templates of tasks may call, such as ``{{ safe_id(run_id) }}``.
MACROS: dict[str, Any] = {
    function.__name__: function for function in (safe_id, retraining_run_id, ci_cd_training_run_id)
}
