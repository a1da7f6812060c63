"""From a run's pushed model to a release that serves.

Each step can be repeated: a retry at any point ends with the same version and one entry in the history.
"""

from __future__ import annotations

import contextlib

from ml import layout, releases
from ml.claims import claim_number, held_number
from ml.comparison.documents import read_comparison
from ml.comparison.records import Comparison, GateDecision
from ml.errors import ConflictError
from ml.home import pipeline_storage
from ml.kinds import kind_of
from ml.local_copy import local_folder, stored_name
from ml.records import ReleaseRecord, now
from ml.runs import code_of, read_run
from ml.settings import load_settings
from ml.storage import Storage

#: Most examples that the reference of prediction drift is counted on.
REFERENCE_EXAMPLES = 5_000


def publish(
    pipeline: str, run_id: str, reason: str | None = None, *, serve: bool = True, confirmed: bool = False
) -> ReleaseRecord | None:
    """Releases the model that a run pushed. None for a run whose model wasn't blessed, and for one that a person has to
    confirm unless ``confirmed``: the run's comparison says why.

    Claims a version for the run, publishes ``models/<version>/``, writes the reference of prediction drift and the
    release record, then (with ``serve``) gives it all the traffic. ``reason`` is by default the one that the run was
    started for; the revision and the image are the run's.

    Raises ``NotFoundError`` for a run that isn't there or not finished, ``ConflictError`` for a candidate that was
    compared with another version than the one that serves now, and ``DataError`` for a model that TensorFlow Serving
    could not serve.
    """
    from ml.evaluation.reference import ReferencePredictions
    from ml.tfx.outcome import SAVED_MODEL, run_outcome

    storage = pipeline_storage(pipeline)
    run = read_run(storage, run_id)
    outcome = run_outcome(pipeline, storage, run.run)
    comparison = read_comparison(storage, run.run)
    if outcome.pushed is None or (comparison and comparison.decision is GateDecision.ASK and not confirmed):
        return None
    if comparison:
        _check_champion(storage, run.run, comparison)
    with (
        code_of(run, storage),
        local_folder(storage, outcome.pushed) as model,
        local_folder(storage, f"{outcome.examples}/Split-eval") as examples,
    ):
        settings = load_settings(pipeline, run.settings)
        acceptance = kind_of(settings).accept(settings, str(model), str(examples), REFERENCE_EXAMPLES)
    version = claim_number(storage, "models", by=run.run)
    with contextlib.suppress(ConflictError):  # published by an earlier attempt of this run
        storage.publish_stored(stored_name(storage, outcome.pushed), layout.model(version), marker=SAVED_MODEL)
    reference = ReferencePredictions(predicted=dict(sorted(acceptance.predicted.items())))
    storage.write(layout.release_reference(version), reference.to_json())
    record = releases.record_release(
        storage,
        ReleaseRecord(
            version=version,
            run=run.run,
            window=run.window,
            created=now(),
            metrics=outcome.metrics,
            classes=acceptance.classes,
            code=run.code,
            cause=run.cause,
            reason=reason or run.reason,
            revision=run.revision,
            image=run.image,
            champion=comparison.champion if comparison else None,
            comparison=comparison.why if comparison else None,
            lost_classes=comparison.lost_classes if comparison else [],
            new_classes=comparison.new_classes if comparison else [],
            confirmed=confirmed,
        ),
    )
    if serve:
        releases.serve(storage, version, record.reason)
    return record


def _check_champion(storage: Storage, run: str, comparison: Comparison) -> None:
    """Raises ``ConflictError`` if the champion changed since the run started, and the run wasn't released before."""
    released = held_number(storage, "models", by=run)
    if released is not None and storage.exists(layout.release(released)):
        return
    serving = releases.serving(storage)
    champion = serving.version if serving else None
    if champion != comparison.champion:
        compared, now_serves = (
            "no version" if version is None else f"version {version}" for version in (comparison.champion, champion)
        )
        raise ConflictError(
            f"the candidate of run {run} was compared with {compared}, and {now_serves} serves now: start a new "
            "training run, which compares it with that; what is unchanged comes from the cache"
        )
