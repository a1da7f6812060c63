"""A released model, called the way a server calls it: encoded images in, labels and probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.kinds.images.encoded import UnusableImageError, decode_images, image_size
from ml.local_copy import local_folder
from ml.prediction.lines import Answer
from ml.storage import Storage

_SIGNATURE = "serving_default"
_INPUT = "image_bytes"


class ServedModel:
    """The SavedModel ``models/<version>/``. Safe to call from several threads.

    Raises ``NotFoundError`` where there is no such model, ``DataError`` where it can't be served.
    """

    def __init__(self, storage: Storage, version: int, *, max_pixels: int) -> None:
        import tensorflow as tf

        folder = layout.model(version)
        if not storage.exists(f"{folder}/saved_model.pb"):
            raise NotFoundError(f"there is no model in {storage.uri(folder)}: see `python -m ml release list`")
        self._folder = storage.uri(folder)
        with local_folder(storage, self._folder) as local:
            self._model = tf.saved_model.load(str(local))  # kept: its variables live as long as it does
        self._signature: Any = self._model.signatures.get(_SIGNATURE)
        self._max_pixels = max_pixels
        if self._signature is None or set(self._signature.structured_input_signature[1]) != {_INPUT}:
            raise DataError(f"the model in {self._folder} has no signature {_SIGNATURE} with the one input {_INPUT}")
        if not {"label", "probabilities"} <= set(self._signature.structured_outputs):
            raise DataError(f"the model in {self._folder} does not return label and probabilities from {_SIGNATURE}")

    def predict(self, encoded: Sequence[bytes]) -> list[Answer | str]:
        """The model's answer to each encoded image, or the reason why it has none: a bad image costs the others
        nothing but time."""
        answers: list[Answer | str] = [""] * len(encoded)
        sound = []
        for position, image in enumerate(encoded):
            try:
                image_size(image, self._max_pixels)  # before the graph decodes it: a small file may claim gigabytes
                sound.append(position)
            except UnusableImageError as refusal:
                answers[position] = str(refusal)
        for position, answer in zip(sound, self._of_sound([encoded[p] for p in sound]), strict=True):
            answers[position] = answer
        return answers

    def _of_sound(self, encoded: list[bytes]) -> list[Answer | str]:
        import tensorflow as tf

        if not encoded:
            return []
        try:
            return self._call(encoded)
        except tf.errors.InvalidArgumentError:
            pass
        checked = [image for part in decode_images(encoded, self._max_pixels) for image in part]
        broken = {p: str(image) for p, image in enumerate(checked) if isinstance(image, UnusableImageError)}
        del checked
        others = iter(self._bisect([image for p, image in enumerate(encoded) if p not in broken]))
        return [broken[p] if p in broken else next(others) for p in range(len(encoded))]

    def _bisect(self, encoded: list[bytes]) -> list[Answer | str]:
        """The answers where one call fails as a whole: by halves, down to the image at fault."""
        import tensorflow as tf

        if not encoded:
            return []
        try:
            return self._call(encoded)
        except tf.errors.InvalidArgumentError as error:
            if len(encoded) == 1:
                return [f"the model refused it: {' '.join(error.message.split())[:200]}"]
        middle = len(encoded) // 2
        return self._bisect(encoded[:middle]) + self._bisect(encoded[middle:])

    def _call(self, encoded: list[bytes]) -> list[Answer | str]:
        import tensorflow as tf

        outputs = self._signature(**{_INPUT: tf.constant(encoded)})
        labels = outputs["label"].numpy().tolist()
        probabilities = outputs["probabilities"].numpy().astype("float64").round(7).tolist()
        return [Answer(label.decode(), shares) for label, shares in zip(labels, probabilities, strict=True)]
