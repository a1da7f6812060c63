"""What things are called in Airflow. Every name follows from the pipeline's."""

from __future__ import annotations

from ml.names import safe_id


def dag_id(pipeline: str, life_stage: str) -> str:
    """The id of one of a pipeline's DAGs; ``life_stage`` is ``evaluation``, ``retraining`` or ``training``."""
    return f"{pipeline}.{life_stage}"


def training_run_id(run_id: str) -> str:
    """The id of the training run that ``run_id``, a run of the retraining DAG, starts: always the same one."""
    return f"retraining-{safe_id(run_id)}"
