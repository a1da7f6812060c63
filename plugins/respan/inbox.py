"""Whether a pipeline's inbox holds enough for an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from ml.batches import open_batch
from ml.home import pipeline_storage
from ml.inbox import count
from ml.settings import Settings


@dataclass(frozen=True, slots=True)
class InboxState:
    """What one look at the inbox told. ``samples`` is counted up to ``needed`` and no further, and not at all while
    ``batch``, the open one, is there."""

    samples: int
    needed: int
    batch: str | None

    @property
    def ready(self) -> bool:
        return self.batch is None and self.samples >= self.needed

    def __str__(self) -> str:
        if self.batch is not None:
            return f"batch {self.batch} is open: its evaluation or retraining goes on, or failed and waits for a person"
        return f"{self.samples:,} of {self.needed:,} samples in the inbox"


def samples_needed(settings: Settings) -> int:
    """How many samples an evaluation waits for. Never fewer than a verdict needs: a batch without a verdict is returned
    to the inbox, which would be ready again at once."""
    return max(settings.evaluation.min_samples, settings.evaluation.min_evaluated)


def look(settings: Settings) -> InboxState:
    """Looks at the inbox of the pipeline in this deployment's storage. Blocks; raises the errors of ``ml.errors``."""
    storage = pipeline_storage(settings.name)
    needed = samples_needed(settings)
    held = open_batch(storage)
    if held is not None:
        return InboxState(0, needed, held.batch)
    return InboxState(count(storage, needed, kind=settings.kind), needed, None)
