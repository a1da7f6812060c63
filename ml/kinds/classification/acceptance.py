"""The last check before a classifier is released: that it answers as it will be asked, wherever it will be served."""

from __future__ import annotations

from collections import Counter

from ml.kinds.both_loaders import ask, collected_samples
from ml.kinds.classification.base import Classification
from ml.kinds.kind import Acceptance
from ml.settings import Settings


def accept(kind: Classification, settings: Settings, model: str, examples: str, most: int) -> Acceptance:
    """Asks the SavedModel in ``model`` for up to ``most`` samples of the TFRecords in the folder ``examples``; what it
    predicts is counted in samples. Raises ``DataError`` as ``both_loaders`` does."""
    outputs, vocabulary = ask(model, kind.serving(settings), collected_samples(examples, kind.collected_feature, most))
    predicted = Counter(label.decode() for label in outputs["label"])
    return Acceptance(
        classes=[label.decode() for label in vocabulary["labels"]],
        predicted={label: float(count) for label, count in sorted(predicted.items())},
    )
