"""The last check before a segmenter is released: that it answers as it will be asked, wherever it will be served."""

from __future__ import annotations

import numpy as np

from ml.errors import DataError
from ml.kinds.both_loaders import ask, collected_samples
from ml.kinds.kind import Acceptance
from ml.kinds.semantic_segmentation.comparison import predicted_mask
from ml.kinds.semantic_segmentation.serving import MASK, SegmentationServing
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.settings import Settings


def accept(settings: Settings, model: str, examples: str, most: int) -> Acceptance:
    """Asks the SavedModel in ``model`` for up to ``most`` images of the TFRecords in the folder ``examples``; what it
    predicts is counted in images, by each class's share of them.

    Raises ``DataError`` as ``both_loaders`` does, for classes that are not the settings', and for masks that are none.
    """
    images = collected_samples(examples, "image", most)
    outputs, vocabulary = ask(model, SegmentationServing(settings), images)
    own: SegmentationSettings = settings.model
    names = [name.decode() for name in vocabulary["labels"]]
    if (names, vocabulary["ids"].tolist()) != (own.names, own.ids):
        raise DataError(f"the model in {model} knows other classes than model.classes: train it with these settings")
    try:
        ids = np.unique(np.concatenate([np.unique(predicted_mask(mask)) for mask in outputs[MASK]]))
    except ValueError as error:
        raise DataError(f"the model in {model} must not be released: {error}") from error
    if strange := set(ids.tolist()) - set(own.ids):
        raise DataError(f"the model in {model} predicts the class ids {sorted(strange)}, which model.classes lacks")
    shares = outputs["class_shares"].sum(axis=0, dtype=np.float64)
    return Acceptance(classes=names, predicted=dict(zip(names, shares.tolist(), strict=True)))
