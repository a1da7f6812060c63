"""How people call what segmentation measures. Light."""

from __future__ import annotations

from ml.kinds.kind import Words

METRIC = "mean_iou"

WORDS = Words(
    metric="mean IoU",
    score="IoU",
    unit="pixels",
    interval="Intervals of IoU are bootstrap intervals over images.",
    worst="images whose predicted mask overlaps least with the true one",
    advice="Look here first for wrong masks and for a broken camera.",
)
