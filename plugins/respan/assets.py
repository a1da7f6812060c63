"""The assets whose events connect a pipeline's DAGs, and other people's DAGs to them.

Their URIs begin with ``x-``: for any other scheme Airflow looks for a provider that knows it, and imports Google's on
the way, a second at each parse.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher


def needs_training(pipeline: str) -> Asset:
    """An event says that the pipeline's model needs training on a batch. Its extra is a
    :class:`respan.training_request.TrainingRequest`."""
    return Asset(name=f"{pipeline}.needs_training", uri=f"x-respan://{pipeline}/needs-training", group="respan")


def release(pipeline: str) -> Asset:
    """An event says that a new version of the pipeline's model serves. Its extra: ``version``, ``run_id``,
    ``cause``, ``reason``."""
    return Asset(name=f"{pipeline}.release", uri=f"x-respan://{pipeline}/release", group="respan")


def revision(pipeline: str) -> Asset:
    """An event says that the branch of the pipeline's settings has a revision that no run has claimed; its extra's
    ``payload``: ``pipeline``, ``branch``, ``revision``.

    The triggerer watches the branch while a DAG that has this asset as its schedule is active. The DAG begins with a
    :class:`respan.sensors.git_revision.GitRevisionSensor`, which claims the revision for the run. Other DAG files that
    name the asset have to use this function, too: one without the watcher would end the watching.
    """
    from respan.triggers.git_revision import GitRevisionTrigger  # not at the top: most DAGs watch nothing

    watcher = AssetWatcher(name=f"{pipeline}.revision", trigger=GitRevisionTrigger(pipeline))
    return Asset(name=f"{pipeline}.revision", uri=f"x-respan://{pipeline}/revision", group="respan", watchers=[watcher])
