"""What becomes of a candidate, and how often that is wrong."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

import numpy as np
import pytest

from ml.comparison.evidence import Evidence, of_answers
from ml.comparison.gate import Contest, GateRules, decide
from ml.comparison.records import Comparison, GateDecision, Outcome
from ml.settings import load_settings
from ml.settings_sections import WhenUnsure

TEN = [str(digit) for digit in range(10)]


def rules(*, max_loss: str = "0.01", when_unsure: WhenUnsure = "release", may_lose: Collection[str] = ()) -> GateRules:
    return GateRules(Fraction(max_loss), 0.05, when_unsure, frozenset(may_lose))


def judged(
    both: int = 0,
    only_candidate: int = 0,
    only_champion: int = 0,
    neither: int = 0,
    *,
    by: GateRules | None = None,
    candidate_classes: Collection[str] = TEN,
    blessed: bool = True,
) -> Comparison:
    by = by or rules()
    evidence = of_answers(
        both, only_candidate, only_champion, neither, max_loss=float(by.max_loss), error_rate=by.error_rate
    )
    return decide(Contest("accuracy", blessed, 3, candidate_classes, TEN, evidence), by)


def test_the_first_candidate_has_nothing_to_be_compared_with() -> None:
    found = decide(Contest("accuracy", True, None, TEN, [], None), rules())
    assert (found.outcome, found.decision) == (Outcome.NO_CHAMPION, GateDecision.RELEASE)
    refused = decide(Contest("accuracy", False, None, TEN, [], None), rules())
    assert refused.decision is GateDecision.REFUSE
    assert "did not bless" in refused.reasons[0]


@pytest.mark.parametrize(
    ("counts", "outcome", "decision"),
    [
        ((80, 20, 2, 18), Outcome.BETTER, GateDecision.RELEASE),
        ((80, 2, 20, 18), Outcome.WORSE, GateDecision.REFUSE),
        ((80, 5, 6, 9), Outcome.CANT_TELL, GateDecision.RELEASE),
        ((9_900, 20, 20, 60), Outcome.AS_GOOD, GateDecision.RELEASE),
        ((0, 0, 0, 0), Outcome.CANT_TELL, GateDecision.RELEASE),
    ],
)
def test_evidence_decides(counts: tuple[int, ...], outcome: Outcome, decision: GateDecision) -> None:
    found = judged(*counts)
    assert (found.outcome, found.decision) == (outcome, decision)
    assert found.champion == 3


def test_a_significant_loss_that_is_allowed_is_no_reason_to_refuse() -> None:
    assert judged(99_000, 100, 300, 600).outcome is Outcome.AS_GOOD
    exactly = judged(950, 0, 10, 40)
    assert (exactly.p_worse or 1) < 0.05
    assert exactly.outcome is not Outcome.WORSE, "10 of 1,000 is not more than 0.01"
    assert judged(949, 0, 11, 40).outcome is Outcome.WORSE


@pytest.mark.parametrize("examples", [100, 200, 300, 400, 700, 1_000])
def test_a_loss_of_exactly_the_limit_is_not_more_than_it(examples: int) -> None:
    """In float32, or as a difference of shares in float64, it is for some of these numbers."""
    limit = examples * 3 // 100
    assert judged(examples - limit, 0, limit, 0, by=rules(max_loss="0.03")).outcome is not Outcome.WORSE


@pytest.mark.parametrize(
    ("when_unsure", "decision"),
    [
        ("release", GateDecision.RELEASE),
        ("keep", GateDecision.REFUSE),
        ("ask", GateDecision.ASK),
    ],
)
def test_a_setting_says_what_becomes_of_a_candidate_that_can_t_be_told_apart(
    when_unsure: WhenUnsure, decision: GateDecision
) -> None:
    found = judged(110, 3, 4, 3, by=rules(when_unsure=when_unsure))
    assert (found.outcome, found.decision) == (Outcome.CANT_TELL, decision)
    assert f"training.when_unsure = {when_unsure}" in found.why
    assert found.enough is not None
    assert f"about {found.enough:,} examples like these would do" in found.why


def test_a_lost_class_waits_for_a_person_unless_a_setting_allows_it() -> None:
    eight = TEN[:8]
    held = judged(80, 20, 0, 0, candidate_classes=eight)
    assert (held.outcome, held.decision, held.lost_classes) == (Outcome.BETTER, GateDecision.ASK, ["8", "9"])
    assert "no longer knows '8', '9', which version 3 knows" in held.reasons[0]
    assert judged(80, 20, 0, 0, candidate_classes=eight, by=rules(may_lose=["8"])).decision is GateDecision.ASK
    allowed = judged(80, 20, 0, 0, candidate_classes=eight, by=rules(may_lose=["8", "9"]))
    assert (allowed.decision, allowed.lost_classes) == (GateDecision.RELEASE, ["8", "9"])
    assert "It no longer knows '8', '9'" in allowed.why
    worse = judged(80, 0, 20, 0, candidate_classes=eight)
    assert worse.decision is GateDecision.REFUSE, "nobody has to be asked"
    assert "no longer knows '8', '9'" in worse.why


def test_a_new_class_is_named() -> None:
    found = judged(100, 0, 0, 0, candidate_classes=[*TEN, "ten"])
    assert found.new_classes == ["ten"]
    assert "It knows classes that version 3 doesn't: 'ten'." in found.why


def test_the_rules_are_the_settings_decimal_numbers() -> None:
    found = GateRules.of(load_settings("image_classification"))
    assert found == rules()


def decisions(examples: int, candidate: float, champion: float, unequal: float, runs: int = 2_000) -> list[Comparison]:
    """Of two models with these accuracies that answer unequally on a share of the examples."""
    only_candidate = (unequal + candidate - champion) / 2
    shares = [champion - (unequal - only_candidate), only_candidate, unequal - only_candidate]
    draws = np.random.default_rng(7).multinomial(examples, [*shares, 1 - sum(shares)], size=runs)
    kinds, counts = np.unique(draws, axis=0, return_counts=True)
    found: list[Comparison] = []
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        found += [judged(*kind)] * count
    return found


def share(found: list[Comparison], *decided: GateDecision) -> float:
    return sum(one.decision in decided for one in found) / len(found)


@pytest.mark.parametrize("examples", [40, 80, 200, 400])
def test_noise_refuses_and_claims_nothing_at_any_size(examples: int) -> None:
    equal = decisions(examples, 0.95, 0.95, 0.06)
    assert share(equal, GateDecision.REFUSE) <= 0.05
    assert sum(one.outcome is Outcome.BETTER for one in equal) / len(equal) <= 0.05


def test_from_600_examples_on_the_gate_is_right_most_of_the_time() -> None:
    assert share(decisions(600, 0.95, 0.95, 0.06), GateDecision.REFUSE) <= 0.05
    assert share(decisions(600, 0.92, 0.95, 0.06), GateDecision.RELEASE) <= 0.11  # 0.096, and the simulation's noise


def evidence_of(found: Comparison) -> tuple[float | None, ...]:
    return found.p_worse, found.p_better, found.p_not_worse


def test_the_document_keeps_the_evidence() -> None:
    found = judged(80, 2, 20, 18)
    assert Comparison.from_json(found.to_json()) == found
    evidence = of_answers(80, 2, 20, 18, max_loss=0.01, error_rate=0.05)
    assert isinstance(evidence, Evidence)
    assert evidence_of(found) == (evidence.p_worse, evidence.p_better, evidence.p_not_worse)
    assert found.difference == pytest.approx(-0.15)
