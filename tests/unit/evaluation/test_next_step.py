"""From a verdict and the settings to the next step: every case."""

from __future__ import annotations

import itertools

import pytest

from ml.evaluation.next_step import Action, NextStep, next_step
from ml.records import TrainingCause, Verdict
from ml.settings_sections import TrainingSettings

ARCHIVE, RETURN = NextStep(Action.ARCHIVE), NextStep(Action.RETURN)
FIRST, DEGRADATION, DRIFT, NEW_DATA = (
    NextStep(Action.TRAIN, cause)
    for cause in (
        TrainingCause.FIRST_RELEASE,
        TrainingCause.DEGRADATION,
        TrainingCause.DRIFT,
        TrainingCause.NEW_DATA,
    )
)


@pytest.mark.parametrize(
    ("verdict", "on_degradation", "on_drift", "on_new_data", "expected"),
    [
        (Verdict.PASS, True, True, False, ARCHIVE),
        (Verdict.PASS, True, True, True, NEW_DATA),
        (Verdict.PASS, False, False, True, NEW_DATA),
        (Verdict.DEGRADED, True, True, False, DEGRADATION),
        (Verdict.DEGRADED, True, False, True, DEGRADATION),
        (Verdict.DEGRADED, False, True, False, ARCHIVE),
        (Verdict.DEGRADED, False, True, True, NEW_DATA),
        (Verdict.DRIFTED, True, True, False, DRIFT),
        (Verdict.DRIFTED, False, True, True, DRIFT),
        (Verdict.DRIFTED, True, False, False, ARCHIVE),
        (Verdict.DRIFTED, True, False, True, NEW_DATA),
    ],
)
def test_a_verdict_leads_where_the_settings_say(
    verdict: Verdict, on_degradation: bool, on_drift: bool, on_new_data: bool, expected: NextStep
) -> None:
    settings = TrainingSettings(on_degradation=on_degradation, on_drift=on_drift, on_new_data=on_new_data)
    assert next_step(verdict, settings) == expected


@pytest.mark.parametrize(("verdict", "expected"), [(None, FIRST), (Verdict.INSUFFICIENT_DATA, RETURN)])
def test_a_first_release_and_too_little_data_depend_on_no_setting(verdict: Verdict | None, expected: NextStep) -> None:
    for degradation, drift, new_data in itertools.product([True, False], repeat=3):
        settings = TrainingSettings(on_degradation=degradation, on_drift=drift, on_new_data=new_data)
        assert next_step(verdict, settings) == expected


def test_by_default_only_what_the_released_version_fails_on_is_trained_on() -> None:
    steps = {verdict: next_step(verdict, TrainingSettings()) for verdict in Verdict}
    assert [verdict for verdict, step in steps.items() if step.action is Action.TRAIN] == [
        Verdict.DEGRADED,
        Verdict.DRIFTED,
    ]
