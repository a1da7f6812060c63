"""Decides whether a candidate is released, refused, or shown to a person. Pure: evidence in, a decision out.

The rules, the first that holds decides:

1. The Evaluator didn't bless the candidate: REFUSE.
2. The candidate is worse than the champion: significantly (the one-sided exact test of McNemar, or a paired bootstrap,
   at ``training.blessing_false_refusals``), and by more than ``training.blessing_max_loss``: REFUSE.
3. It lost a class of the champion's that isn't in ``training.may_lose_classes``: ASK.
4. It is better, or as good: the same tests claim so at the same rate: RELEASE.
5. There is not enough evidence: what ``training.when_unsure`` says.

So an equally good candidate is refused in at most ``training.blessing_false_refusals`` of the cases, however few the
examples are; how often a worse one passes depends on their number: docs/decisions-and-errors.md.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from ml.comparison.evidence import Evidence
from ml.comparison.records import Comparison, GateDecision, Outcome
from ml.settings import Settings
from ml.settings_sections import WhenUnsure

_WHEN_UNSURE: dict[WhenUnsure, GateDecision] = {
    "release": GateDecision.RELEASE,
    "keep": GateDecision.REFUSE,
    "ask": GateDecision.ASK,
}


@dataclass(frozen=True, slots=True)
class GateRules:
    """What decides: the settings' ``training`` section. ``max_loss`` is the decimal number that the file has, so that
    a loss of exactly as much isn't more."""

    max_loss: Fraction
    error_rate: float
    when_unsure: WhenUnsure
    may_lose: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> GateRules:
        training = settings.training
        return cls(
            max_loss=Fraction(repr(training.blessing_max_loss)),
            error_rate=training.blessing_false_refusals,
            when_unsure=training.when_unsure,
            may_lose=frozenset(training.may_lose_classes),
        )


@dataclass(frozen=True, slots=True)
class Contest:
    """What is known of a candidate. ``champion`` is the version that serves, None before the first release; the classes
    are those that each model knows. ``evidence`` is of the examples of all classes but those that the candidate lost;
    ``with_lost`` of these, too, unless ``training.may_lose_classes`` names them. Both are None without a champion or
    examples."""

    metric: str
    blessed: bool
    champion: int | None
    candidate_classes: Collection[str]
    champion_classes: Collection[str]
    evidence: Evidence | None
    with_lost: Evidence | None = None


def decide(contest: Contest, rules: GateRules) -> Comparison:
    """The decision by the rules above, with its reasons."""
    lost = sorted(set(contest.champion_classes) - set(contest.candidate_classes))
    new = sorted(set(contest.candidate_classes) - set(contest.champion_classes)) if contest.champion else []
    outcome = _outcome(contest, rules)
    decision, reasons = _decision(contest, outcome, lost, rules)
    if new:
        reasons.append(f"It knows classes that version {contest.champion} doesn't: {_names(new)}.")
    evidence = contest.evidence
    figures = (
        {
            "examples": evidence.examples,
            "candidate": evidence.candidate,
            "baseline": evidence.champion,
            "difference": float(-evidence.loss),
            "low": evidence.low,
            "high": evidence.high,
            "confidence": evidence.confidence,
            "p_worse": evidence.p_worse,
            "p_better": evidence.p_better,
            "p_not_worse": evidence.p_not_worse,
            "enough": evidence.enough,
        }
        if evidence
        else {}
    )
    return Comparison(
        champion=contest.champion,
        outcome=outcome,
        decision=decision,
        reasons=reasons,
        metric=contest.metric,
        lost_classes=lost,
        new_classes=new,
        **figures,
    )


def _outcome(contest: Contest, rules: GateRules) -> Outcome:
    evidence = contest.evidence
    if contest.champion is None:
        return Outcome.NO_CHAMPION
    if evidence is None:
        return Outcome.CANT_TELL
    if evidence.p_worse <= rules.error_rate and evidence.loss > rules.max_loss:
        return Outcome.WORSE
    if evidence.p_better <= rules.error_rate and evidence.loss < 0:
        return Outcome.BETTER
    if evidence.p_not_worse <= rules.error_rate:
        return Outcome.AS_GOOD
    return Outcome.CANT_TELL


def _decision(contest: Contest, outcome: Outcome, lost: list[str], rules: GateRules) -> tuple[GateDecision, list[str]]:
    compared = _compared(contest, outcome, rules)
    if not contest.blessed:
        return GateDecision.REFUSE, ["The Evaluator did not bless the candidate; its log says why.", *compared]
    unconfirmed = [name for name in lost if name not in rules.may_lose]
    if outcome is Outcome.WORSE:
        return GateDecision.REFUSE, [*compared, *([_loss(contest, unconfirmed)] if unconfirmed else [])]
    if unconfirmed:
        return GateDecision.ASK, [_loss(contest, unconfirmed), *compared]
    named = [f"It no longer knows {_names(lost)}, as training.may_lose_classes allows."] if lost else []
    if outcome is Outcome.CANT_TELL:
        return _WHEN_UNSURE[rules.when_unsure], [*compared, *named]
    return GateDecision.RELEASE, [*compared, *named]


def _loss(contest: Contest, classes: list[str]) -> str:
    overall = contest.with_lost
    figures = (
        f" With these its {contest.metric} is {overall.candidate:.4f} against {overall.champion:.4f} on "
        f"{overall.examples:,} examples."
        if overall
        else ""
    )
    return (
        f"The candidate no longer knows {_names(classes)}, which version {contest.champion} knows: if that is meant, "
        "add them to training.may_lose_classes or confirm the release; else train with a window that has samples of "
        f"them.{figures}"
    )


def _compared(contest: Contest, outcome: Outcome, rules: GateRules) -> list[str]:
    evidence = contest.evidence
    if outcome is Outcome.NO_CHAMPION:
        return ["No version serves yet: there is nothing to compare the candidate with."]
    if evidence is None:
        return [
            f"No labelled example could be compared with version {contest.champion}: "
            f"training.when_unsure = {rules.when_unsure}."
        ]
    figures = (
        f"{contest.metric} {evidence.candidate:.4f} against {evidence.champion:.4f} of version {contest.champion} on "
        f"{evidence.examples:,} examples that neither was trained on"
    )
    limit = f"training.blessing_max_loss = {float(rules.max_loss):g}"
    counted = f" ({evidence.counts})" if evidence.counts else ""
    if outcome is Outcome.WORSE:
        return [f"The candidate is worse, by more than {limit}: {figures}{counted}, p = {evidence.p_worse:.2g}."]
    if outcome is Outcome.BETTER:
        return [f"The candidate is better: {figures}{counted}, p = {evidence.p_better:.2g}."]
    if outcome is Outcome.AS_GOOD:
        return [f"The candidate is not worse by more than {limit}: {figures}, p = {evidence.p_not_worse:.2g}."]
    enough = f"; about {evidence.enough:,} examples like these would do" if evidence.enough else ""
    return [
        f"There is not enough evidence to tell the candidate from version {contest.champion}: {figures}{counted}, a "
        f"difference of {float(-evidence.loss):+.4f} ({evidence.confidence:.0%} interval {evidence.low:+.4f} to "
        f"{evidence.high:+.4f}){enough}: training.when_unsure = {rules.when_unsure}."
    ]


def _names(classes: list[str]) -> str:
    return ", ".join(map(repr, classes))
