"""The gate of classifiers: how often it refuses, claims or can't tell. Computed for every likely outcome, not drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from scipy.stats import binom

from benchmarks.decisions.sizes import EXAMPLES, SETTINGS, heads
from benchmarks.decisions.table import Table, percent, promise
from benchmarks.result import Result
from ml.comparison.evidence import of_answers
from ml.comparison.gate import Contest, GateRules, decide
from ml.comparison.records import Comparison, GateDecision, Outcome

#: Examples that both models answer.
SIZES = (*EXAMPLES[:2], 600, *EXAMPLES[2:])
#: How much better the candidate is than the champion, in accuracy.
DIFFERENCES = (0.03, 0.01, 0.0, -0.01, -0.02, -0.03, -0.05)
#: On so many of the examples only one of the two is right, but on no fewer than the difference asks for.
UNEQUAL = 0.06
RULES = GateRules.of(SETTINGS)
#: Outcomes that are rarer are left out: all of them together by far less than a table shows.
_RARE = 1e-8

Question = Callable[[Comparison], bool]


def study() -> Iterator[Result]:
    refused = _table("gate_refused", lambda found: found.decision is GateDecision.REFUSE)
    unsure = _table("gate_unsure", lambda found: found.outcome is Outcome.CANT_TELL)
    claimed = _table("gate_claimed", lambda found: found.outcome is Outcome.BETTER)
    equal = rate(600, 0.0, lambda found: found.decision is GateDecision.REFUSE)
    yield promise("an equal candidate is refused, 600 examples", equal, 0.05, refused)
    worse = rate(600, -0.03, lambda found: found.decision is GateDecision.RELEASE)
    yield promise("a candidate 3 points worse is released, 600 examples", worse, 0.1, unsure)
    better = max(rate(size, 0.0, lambda found: found.outcome is Outcome.BETTER) for size in SIZES)
    yield promise("an equal candidate is called better, at any size", better, RULES.error_rate, claimed)


def _table(name: str, question: Question) -> Table:
    rows = [[named(difference), *(percent(rate(n, difference, question)) for n in SIZES)] for difference in DIFFERENCES]
    return Table(name, ["the candidate is", *heads(SIZES, "examples")], rows)


def named(difference: float) -> str:
    return f"{100 * difference:+.0f} points" if difference else "equal"


def rate(examples: int, difference: float, question: Question) -> float:
    """How often ``question`` is true of the decision on a candidate that is better by ``difference``."""
    unequal = max(UNEQUAL, abs(difference))
    own = (unequal + difference) / (2 * unequal)
    total = 0.0
    for count in range(examples + 1):
        among = float(binom.pmf(count, examples, unequal))
        if among < _RARE:
            continue
        chances = binom.pmf(np.arange(count + 1), count, own) * among
        total += sum(
            float(chances[mine])
            for mine in np.flatnonzero(chances >= _RARE).tolist()
            if question(judged(examples, mine, count - mine))
        )
    return total


@cache
def judged(examples: int, only_candidate: int, only_champion: int) -> Comparison:
    """The product's decision where only one of the two is right on so many examples."""
    evidence = of_answers(
        examples - only_candidate - only_champion,
        only_candidate,
        only_champion,
        0,
        max_loss=float(RULES.max_loss),
        error_rate=RULES.error_rate,
    )
    return decide(Contest("accuracy", True, 1, [], [], evidence), RULES)
