"""What the demo promises, and whether it was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scripts.demo_stories import Story


@dataclass(frozen=True, slots=True)
class ScoredRelease:
    """A release and its metric on held-out samples, through the old camera and through the new one."""

    version: int
    plain: float
    shifted: float

    def document(self, metric: str) -> dict[str, Any]:
        return {"version": self.version, metric: self.plain, f"{metric}_on_shifted": self.shifted}


@dataclass(frozen=True, slots=True)
class AuditCount:
    """Samples: ``collected`` in all; ``lost`` and ``duplicated`` must be 0."""

    collected: int
    lost: int
    duplicated: int


@dataclass(frozen=True, slots=True)
class Summary:
    """``summary.json``. ``metric`` is the one that verdicts rest on, ``threshold`` what it must not be below;
    ``seconds`` are those of each stage; ``verdict_after`` is that on a fresh batch of the new camera, by the second
    release."""

    metric: str
    threshold: float
    first_release: ScoredRelease
    verdict: str
    second_release: ScoredRelease
    verdict_after: str
    spans: list[int]
    audit: AuditCount
    seconds: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        releases = {name: getattr(self, name).document(self.metric) for name in ("first_release", "second_release")}
        return {**asdict(self), **releases}


def broken_promises(summary: Summary, story: Story, *, samples: int) -> list[str]:
    """One line for each promise that ``summary`` doesn't keep; ``samples`` is how many were collected."""
    first, second, audit = summary.first_release, summary.second_release, summary.audit
    metric, threshold, loss = summary.metric, summary.threshold, story.tolerated_loss
    promises = {
        f"the metric is {metric}, not {story.metric}": metric == story.metric,
        f"the first release's {metric} is {first.plain:.3f}, below {story.good}": first.plain >= story.good,
        f"the first release's {metric} on the new camera is {first.shifted:.3f}, not below {threshold}": (
            first.shifted < threshold
        ),
        f"the verdict on the new camera's samples is {summary.verdict}, not DEGRADED": summary.verdict == "DEGRADED",
        f"version {second.version} is no newer release than version {first.version}": second.version > first.version,
        f"the second release's {metric} on the new camera is {second.shifted:.3f}, below {threshold}": (
            second.shifted >= threshold
        ),
        f"the second release's {metric} is {second.plain:.3f}, more than {loss} below the first one's": (
            second.plain >= first.plain - loss
        ),
        f"the verdict on a fresh batch of the new camera is {summary.verdict_after}, not PASS": (
            summary.verdict_after == "PASS"
        ),
        f"the spans are {summary.spans}, not [1, 2]": summary.spans == [1, 2],
        f"{audit.collected} samples are accounted for, {samples} were collected": audit.collected == samples,
        f"{audit.lost} samples are lost": audit.lost == 0,
        f"{audit.duplicated} samples are in two places": audit.duplicated == 0,
    }
    return [complaint for complaint, kept in promises.items() if not kept]
