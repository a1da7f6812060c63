"""What a benchmark measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Result:
    """One ratio, of two things measured side by side in one run.

    ``ours`` and ``peer`` are medians in ``unit`` (a rate: more is better; a time: less is). ``ratio`` is the median of
    the rounds' own ratios, ours to peer; ``bound`` says what it must be, such as ">= 1.5". ``detail`` holds what else
    was seen: the rounds, the spread, the sizes.
    """

    name: str
    ours: float
    peer: float
    ratio: float
    unit: str
    bound: str
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sign, _, number = self.bound.partition(" ")
        if sign not in ("<=", ">="):
            raise ValueError(f"the bound of {self.name} is {self.bound!r}: say '<= 1.25' or '>= 3'")
        float(number)

    @property
    def met(self) -> bool:
        """Whether the ratio keeps its bound."""
        sign, _, number = self.bound.partition(" ")
        return self.ratio <= float(number) if sign == "<=" else self.ratio >= float(number)
