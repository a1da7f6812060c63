"""``runs/<run>/comparison.json``: how a run's candidate compares with the champion. Light: Airflow reads it too."""

from __future__ import annotations

from enum import Enum

from pydantic import Field

from ml.records import Record


class Outcome(str, Enum):
    """What the evidence says of the candidate."""

    #: Significantly better than the champion.
    BETTER = "better"
    #: Significantly not worse than the champion by more than ``training.blessing_max_loss``.
    AS_GOOD = "as_good"
    #: Significantly worse than the champion, and by more than ``training.blessing_max_loss``.
    WORSE = "worse"
    #: Not enough evidence for any of these.
    CANT_TELL = "cant_tell"
    #: Nothing serves yet.
    NO_CHAMPION = "no_champion"


class GateDecision(str, Enum):
    """What becomes of the candidate."""

    RELEASE = "release"
    REFUSE = "refuse"
    #: It is released once a person confirms it.
    ASK = "ask"


class Comparison(Record):
    """The comparison of one candidate, and what was decided.

    ``champion`` is the version that served when the run started; None before the first release. ``examples``: how many
    both models answered; ``metric`` names the kind's metric, ``candidate`` and ``baseline`` are its values for the
    candidate and the champion, and ``difference`` is candidate − champion with the ends of its interval at level
    ``confidence``. All of them are None without a champion or examples. ``p_worse`` is the probability of evidence at
    least as bad if both models were equally good, ``p_better`` of evidence at least as good, ``p_not_worse`` of
    evidence at least as good if the candidate were worse by ``training.blessing_max_loss``. ``enough``: about how many
    examples would do to tell; None where that isn't known. ``lost_classes``: those that the champion knows and the
    candidate doesn't; ``new_classes`` the reverse. ``reasons`` are sentences, the deciding one first.
    """

    champion: int | None = None
    outcome: Outcome
    decision: GateDecision
    reasons: list[str] = Field(min_length=1)
    metric: str
    examples: int = 0
    candidate: float | None = None
    baseline: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    p_worse: float | None = None
    p_better: float | None = None
    p_not_worse: float | None = None
    enough: int | None = None
    lost_classes: list[str] = Field(default_factory=list)
    new_classes: list[str] = Field(default_factory=list)

    @property
    def why(self) -> str:
        """All reasons in one line."""
        return " ".join(self.reasons)
