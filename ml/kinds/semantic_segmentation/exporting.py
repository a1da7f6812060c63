"""Writes a trained segmenter as a SavedModel that serves."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_transform as tft

from ml.kinds.exporting import Signature, export_signatures, feature_of
from ml.kinds.images.decoding import image_sizes
from ml.kinds.semantic_segmentation.settings import SegmentationSettings

#: Images that are brought to their own size at one time; bounds the memory that a batch of large ones needs.
_AT_ONCE = 4


def export_segmenter(
    model: keras.Model, transform: tft.TFTransformOutput, settings: SegmentationSettings, folder: str
) -> None:
    """Writes ``model`` (images → logits in the order of the settings' classes) into ``folder`` with three signatures.

    * ``serving_default``: ``image_bytes`` string[N], PNG or JPEG of any size → ``mask_bytes`` string[N], each a PNG of
      8-bit grey whose values are class ids, of the image's own size; ``class_shares`` float32[N, classes], the share of
      the mask's area that each class has; ``confidence`` float32[N], the mean probability of what the mask says;
    * ``serving_examples``: ``examples`` string[N], serialized tf.Examples with a feature ``image`` → the same;
    * ``vocabulary``: nothing → ``labels`` string[classes] and ``ids`` int64[classes], the classes' names and ids.
    """
    layer = transform.transform_features_layer()
    names, ids = tf.constant(settings.names), tf.constant(settings.ids, tf.int64)

    def serving_default(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = layer({"image": image_bytes[:, tf.newaxis]})["image"]
        probabilities = tf.nn.softmax(model(images, training=False))
        return masks_at_size(probabilities, image_sizes(image_bytes), ids)

    def serving_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return serving_default(feature_of(examples, "image"))

    def vocabulary() -> dict[str, tf.Tensor]:
        return {"labels": tf.identity(names), "ids": tf.identity(ids)}

    signatures: dict[str, Signature] = {
        "serving_default": serving_default,
        "serving_examples": serving_examples,
        "vocabulary": vocabulary,
    }
    export_signatures(model, layer, signatures, folder)


def masks_at_size(probabilities: tf.Tensor, sizes: tf.Tensor, ids: tf.Tensor) -> dict[str, tf.Tensor]:
    """float32[N, H, W, C] and each image's own height and width int32[N, 2] → what ``serving_default`` answers.

    Probabilities are interpolated and then compared, so borders between classes are smooth in large images.
    """
    classes = probabilities.shape[-1]

    def answer(one: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        best, index = _likeliest(*one)
        counts = tf.math.bincount(tf.reshape(tf.cast(index, tf.int32), [-1]), minlength=classes, maxlength=classes)
        shares = tf.cast(counts, tf.float64) / tf.cast(tf.size(index), tf.float64)
        mask = tf.gather(tf.cast(ids, tf.uint8), tf.cast(index, tf.int32))
        return tf.io.encode_png(mask[..., tf.newaxis]), tf.cast(shares, tf.float32), tf.reduce_mean(best)

    signature = (
        tf.TensorSpec([], tf.string),
        tf.TensorSpec([classes], tf.float32),
        tf.TensorSpec([], tf.float32),
    )
    masks, shares, confidence = tf.map_fn(
        answer, (probabilities, sizes), fn_output_signature=signature, parallel_iterations=_AT_ONCE
    )
    return {"mask_bytes": masks, "class_shares": shares, "confidence": confidence}


def _likeliest(probabilities: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The largest of float32[H, W, C] at each pixel of the image's own ``size``, and its position, uint8.

    Class by class: all of them at the size of a large photograph would take gigabytes.
    """

    def compare(known: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        best, index = known
        probability = tf.image.resize(probabilities[..., number, tf.newaxis], size)[..., 0]
        better = probability > best
        return tf.where(better, probability, best), tf.where(better, tf.cast(number, tf.uint8), index)

    start = (tf.fill(size, -1.0), tf.zeros(size, tf.uint8))
    best, index = tf.foldl(compare, tf.range(probabilities.shape[-1]), start, parallel_iterations=1)
    return best, index
