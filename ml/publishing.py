"""From a run's pushed model to a release that serves.

Each step can be repeated: a retry at any point ends with the same version and one entry in the history.
"""

from __future__ import annotations

import contextlib

from ml import layout, releases
from ml.claims import claim_number
from ml.errors import ConflictError
from ml.home import pipeline_storage
from ml.kinds import kind_of
from ml.local_copy import local_folder, stored_name
from ml.records import ReleaseRecord, now
from ml.runs import code_of, read_run
from ml.settings import load_settings

#: Most examples that the reference of prediction drift is counted on.
REFERENCE_EXAMPLES = 5_000


def publish(pipeline: str, run_id: str, reason: str | None = None, *, serve: bool = True) -> ReleaseRecord | None:
    """Releases the model that a run pushed; None for a run whose model wasn't blessed.

    Claims a version for the run, publishes ``models/<version>/``, writes the reference of prediction drift and the
    release record, then (with ``serve``) gives it all the traffic. ``reason`` is by default the one that the run was
    started for; the revision and the image are the run's.

    Raises ``NotFoundError`` for a run that isn't there or not finished, and ``DataError`` for a model that TensorFlow
    Serving could not serve.
    """
    from ml.evaluation.reference import ReferencePredictions
    from ml.tfx.outcome import SAVED_MODEL, run_outcome

    storage = pipeline_storage(pipeline)
    run = read_run(storage, run_id)
    outcome = run_outcome(pipeline, storage, run.run)
    if outcome.pushed is None:
        return None
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
        ),
    )
    if serve:
        releases.serve(storage, version, record.reason)
    return record
