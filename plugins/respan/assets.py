"""The assets whose events connect a pipeline's DAGs, and other people's DAGs to them.

Their URIs begin with ``x-``: for any other scheme Airflow looks for a provider that knows it, and imports Google's on
the way, a second at each parse.
"""

from __future__ import annotations

from airflow.sdk import Asset


def needs_training(pipeline: str) -> Asset:
    """An event says that the pipeline's model needs training on a batch. Its extra is a
    :class:`respan.training_request.TrainingRequest`."""
    return Asset(name=f"{pipeline}.needs_training", uri=f"x-respan://{pipeline}/needs-training", group="respan")


def release(pipeline: str) -> Asset:
    """An event says that a new version of the pipeline's model serves. Its extra: ``version``, ``run_id``,
    ``cause``, ``reason``."""
    return Asset(name=f"{pipeline}.release", uri=f"x-respan://{pipeline}/release", group="respan")
