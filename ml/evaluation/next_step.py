"""Decides what follows an evaluation: a verdict and the pipeline's settings in, the next step out. Pure and light."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ml.records import TrainingCause, Verdict
from ml.settings_sections import TrainingSettings


class Action(str, Enum):
    """What becomes of an evaluated batch."""

    TRAIN = "train"
    ARCHIVE = "archive"
    #: Back to the inbox, where its samples join the next batch.
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class NextStep:
    """``cause`` is why to train, and None for every other action."""

    action: Action
    cause: TrainingCause | None = None


def next_step(verdict: Verdict | None, settings: TrainingSettings) -> NextStep:
    """What to do with a batch that got ``verdict``; None where there is no release yet to evaluate.

    A first version is always trained, and a batch without a verdict on the model always returned. A more telling cause
    goes before ``new_data``, so a degraded model is retrained for its degradation wherever the settings allow that.
    """
    if verdict is None:
        return NextStep(Action.TRAIN, TrainingCause.FIRST_RELEASE)
    if verdict is Verdict.INSUFFICIENT_DATA:
        return NextStep(Action.RETURN)
    if verdict is Verdict.DEGRADED and settings.on_degradation:
        return NextStep(Action.TRAIN, TrainingCause.DEGRADATION)
    if verdict is Verdict.DRIFTED and settings.on_drift:
        return NextStep(Action.TRAIN, TrainingCause.DRIFT)
    if settings.on_new_data:
        return NextStep(Action.TRAIN, TrainingCause.NEW_DATA)
    return NextStep(Action.ARCHIVE)
