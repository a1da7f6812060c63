"""What the demo promises, and whether it was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: The least accuracy of a release on the camera that it was trained for.
GOOD_ACCURACY = 0.95
#: The accuracy that separates a model that handles the new camera from one that doesn't.
THRESHOLD = 0.90
#: How much accuracy on the old camera the second release may lose for the new one.
TOLERATED_LOSS = 0.02


@dataclass(frozen=True, slots=True)
class ScoredRelease:
    """A release and its accuracy on held-out digits, through the old camera and through the new one."""

    version: int
    accuracy: float
    accuracy_on_shifted: float


@dataclass(frozen=True, slots=True)
class AuditCount:
    """Samples: ``collected`` in all; ``lost`` and ``duplicated`` must be 0."""

    collected: int
    lost: int
    duplicated: int


@dataclass(frozen=True, slots=True)
class Summary:
    """``summary.json``. ``seconds`` are those of each stage; ``verdict_after`` is that on a fresh batch of the new
    camera, by the second release."""

    first_release: ScoredRelease
    verdict: str
    second_release: ScoredRelease
    verdict_after: str
    spans: list[int]
    audit: AuditCount
    seconds: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        return asdict(self)


def broken_promises(summary: Summary, *, images: int) -> list[str]:
    """One line for each promise that ``summary`` doesn't keep; ``images`` is how many samples were collected."""
    first, second, audit = summary.first_release, summary.second_release, summary.audit
    promises = {
        f"the first release's accuracy is {first.accuracy:.3f}, below {GOOD_ACCURACY}": (
            first.accuracy >= GOOD_ACCURACY
        ),
        f"the first release's accuracy on the new camera is {first.accuracy_on_shifted:.3f}, not below {THRESHOLD}": (
            first.accuracy_on_shifted < THRESHOLD
        ),
        f"the verdict on the new camera's samples is {summary.verdict}, not DEGRADED": summary.verdict == "DEGRADED",
        f"version {second.version} is no newer release than version {first.version}": second.version > first.version,
        f"the second release's accuracy on the new camera is {second.accuracy_on_shifted:.3f}, below {THRESHOLD}": (
            second.accuracy_on_shifted >= THRESHOLD
        ),
        f"the second release's accuracy is {second.accuracy:.3f}, more than {TOLERATED_LOSS} below the first one's": (
            second.accuracy >= first.accuracy - TOLERATED_LOSS
        ),
        f"the verdict on a fresh batch of the new camera is {summary.verdict_after}, not PASS": (
            summary.verdict_after == "PASS"
        ),
        f"the spans are {summary.spans}, not [1, 2]": summary.spans == [1, 2],
        f"{audit.collected} samples are accounted for, {images} were collected": audit.collected == images,
        f"{audit.lost} samples are lost": audit.lost == 0,
        f"{audit.duplicated} samples are in two places": audit.duplicated == 0,
    }
    return [complaint for complaint, kept in promises.items() if not kept]
