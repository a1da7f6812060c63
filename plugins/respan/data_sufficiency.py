"""Whether a pipeline's inbox holds enough for an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from ml.batches import open_batch
from ml.data_sufficiency import Requirement, Stock, requirement, shortage
from ml.home import pipeline_storage
from ml.inbox import take_stock
from ml.kinds import kind_of
from ml.releases import read_release, serving
from ml.settings import Settings
from ml.storage import Storage


@dataclass(frozen=True, slots=True)
class InboxState:
    """What one look at the inbox told. ``stock`` is counted as far as ``needed`` and no further, and not at all while
    ``batch``, the open one, is there."""

    stock: Stock
    needed: Requirement
    batch: str | None

    @property
    def ready(self) -> bool:
        return self.batch is None and shortage(self.needed, self.stock) is None

    def __str__(self) -> str:
        if self.batch is not None:
            return f"batch {self.batch} is open: its evaluation or retraining goes on, or failed and waits for a person"
        missing = shortage(self.needed, self.stock)
        return f"waiting: {missing}" if missing else f"enough samples in the inbox ({self.needed.samples:,} or more)"


def look(settings: Settings) -> InboxState:
    """Looks at the inbox of the pipeline in this deployment's storage. Blocks; raises the errors of ``ml.errors``."""
    storage = pipeline_storage(settings.name)
    rules = settings.evaluation
    classes = _released_classes(storage) if rules.min_samples_per_class else None
    needed = requirement(rules, classes)
    held = open_batch(storage)
    if held is not None:
        return InboxState(Stock(0), needed, held.batch)
    return InboxState(take_stock(storage, kind_of(settings), needed), needed, None)


def _released_classes(storage: Storage) -> list[str] | None:
    """What the serving version can tell apart; None before the first release."""
    current = serving(storage)
    return None if current is None else read_release(storage, current.version).classes
