"""What a classifier's training learns of the labels."""

from __future__ import annotations

import tensorflow_transform as tft

from ml.errors import DataError

#: The vocabulary that the preprocessing makes of the training examples' labels.
VOCABULARY = "label"


def classes_of(transform: tft.TFTransformOutput) -> list[str]:
    """The labels in the order of their indices. Raises ``DataError`` where there is nothing to learn from."""
    classes = [label.decode() for label in transform.vocabulary_by_name(VOCABULARY)]
    if len(classes) < 2:
        raise DataError(
            f"the window's training examples have one label only ({', '.join(classes) or 'none'}): "
            "collect samples of at least two"
        )
    return classes
