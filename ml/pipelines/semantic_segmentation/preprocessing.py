"""What happens to an example before the model sees it, in training and (the image's part) in serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from ml.kinds.images.decoding import decode_images
from ml.kinds.semantic_segmentation.decoding import decode_masks


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """``image`` and ``mask``, each string[N, 1] → ``image`` float32[N, size, size, 3] of 0 to 255, ``mask`` int64[N,
    size, size] of positions in the settings' classes, -1 where pixels are ignored."""
    model = custom_config["model"]
    size, ids = model["image_size"], [each["id"] for each in model["classes"]]
    return {
        "image": decode_images(tf.reshape(inputs["image"], [-1]), size),
        "mask": decode_masks(tf.reshape(inputs["mask"], [-1]), size, ids),
    }
