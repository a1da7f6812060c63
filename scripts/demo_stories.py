"""What the demo shows of a pipeline: whose pictures it draws, and what it promises of the releases."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.demo_timeline import DemoError


@dataclass(frozen=True, slots=True)
class Story:
    """``data`` is the module that draws the sets of samples, ``things`` what they show. ``good``: the least metric of
    the first release on the camera that it was trained for; ``tolerated_loss``: how much of it the second release may
    lose for the new camera."""

    pipeline: str
    data: str
    things: str
    metric: str
    good: float
    tolerated_loss: float


CLASSIFICATION = Story(
    pipeline="image_classification",
    data="scripts.demo_data",
    things="digits",
    metric="accuracy",
    good=0.95,
    tolerated_loss=0.02,
)
SEGMENTATION = Story(
    pipeline="semantic_segmentation",
    data="scripts.demo_scenes",
    things="scenes",
    metric="mean_iou",
    good=0.75,
    tolerated_loss=0.03,
)

STORIES = {story.pipeline: story for story in (CLASSIFICATION, SEGMENTATION)}


def story_of(pipeline: str) -> Story:
    """Raises ``DemoError`` for a pipeline that the demo has no data for."""
    if pipeline not in STORIES:
        raise DemoError(f"There is no demo of pipeline {pipeline!r}; choose one of {', '.join(STORIES)}.")
    return STORIES[pipeline]
