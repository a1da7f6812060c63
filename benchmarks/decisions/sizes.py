"""The sizes that are studied, and the settings: the defaults."""

from __future__ import annotations

from ml.settings import Settings

SETTINGS = Settings(name="study", kind="image_classification")
#: Samples of a batch.
SAMPLES = (80, 100, 400, 1_000, 2_000, 10_000)
#: Samples of a batch for drift, and examples in the eval split of the training window.
BATCHES, EXAMPLES = (100, 1_000, 10_000), (80, 400, 2_000)
#: Samples of the window for each of its eval split's examples.
WINDOW = round(1 / SETTINGS.data.eval_share)


def heads(sizes: tuple[int, ...], unit: str) -> list[str]:
    return [f"{size:,} {unit}" for size in sizes]
