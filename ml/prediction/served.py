"""A released model, called the way a server calls it: samples as they were collected in, its answers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from more_itertools import constrained_batches

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.kinds.kind import Refused, Serving
from ml.local_copy import local_folder
from ml.storage import Storage

_SIGNATURE = "serving_default"
_VOCABULARY = "vocabulary"
#: What the samples of one call take in memory, as the kind tells it, unless a single one takes more.
_CALL_BYTES = 256 << 20

#: What the model says of a sample (see ``Serving.answers``), or why it says nothing.
Answered = msgspec.Struct | Refused


class ServedModel:
    """The SavedModel in ``folder``, a path or a URI that TensorFlow reads; ``where`` names it in messages. Safe to call
    from several threads.

    Raises ``DataError`` where it can't be served.
    """

    def __init__(self, folder: str, serving: Serving, where: str | None = None) -> None:
        import tensorflow as tf

        self._where = where or folder
        self._model = tf.saved_model.load(folder)  # kept: its variables live as long as it does
        self._signature: Any = self._model.signatures.get(_SIGNATURE)
        self._serving = serving
        if self._signature is None or set(self._signature.structured_input_signature[1]) != {serving.input}:
            raise DataError(
                f"the model in {self._where} has no signature {_SIGNATURE} with the one input {serving.input}"
            )
        if not serving.outputs <= set(self._signature.structured_outputs):
            needed = " and ".join(sorted(serving.outputs))
            raise DataError(f"the model in {self._where} does not return {needed} from {_SIGNATURE}")

    @classmethod
    def of_release(cls, storage: Storage, version: int, serving: Serving) -> ServedModel:
        """The model ``models/<version>/``. Raises ``NotFoundError`` where there is none."""
        folder = layout.model(version)
        where = storage.uri(folder)
        if not storage.exists(f"{folder}/saved_model.pb"):
            raise NotFoundError(f"there is no model in {where}: see `python -m ml release list`")
        with local_folder(storage, where) as local:
            return cls(str(local), serving, where)

    def classes(self) -> list[str]:
        """The names of the classes that the model knows, in its own order."""
        vocabulary = self._model.signatures.get(_VOCABULARY)
        if vocabulary is None:
            raise DataError(f"the model in {self._where} has no signature {_VOCABULARY}, which names its classes")
        return [name.decode() for name in vocabulary()["labels"].numpy().tolist()]

    def predict(self, samples: Sequence[bytes]) -> list[Answered]:
        """The model's answer to each sample, or the reason why it has none: a bad one costs the others nothing but
        time."""
        answers: list[Any] = [self._serving.refusal(sample) for sample in samples]
        sound = [position for position, refusal in enumerate(answers) if refusal is None]
        # strict=False: what is too much by itself has a call of its own
        for call in constrained_batches(
            sound, _CALL_BYTES, get_len=lambda p: self._serving.memory(samples[p]), strict=False
        ):
            for position, answer in zip(call, self._of_sound([samples[p] for p in call]), strict=True):
                answers[position] = answer
        return answers

    def _of_sound(self, samples: list[bytes]) -> list[Answered]:
        import tensorflow as tf

        try:
            return self._call(samples)
        except tf.errors.InvalidArgumentError:
            pass
        refusals = self._serving.refusals(samples)
        others = iter(self._bisect([one for one, refusal in zip(samples, refusals, strict=True) if refusal is None]))
        return [next(others) if refusal is None else refusal for refusal in refusals]

    def _bisect(self, samples: list[bytes]) -> list[Answered]:
        """The answers where one call fails as a whole: by halves, down to the sample at fault."""
        import tensorflow as tf

        if not samples:
            return []
        try:
            return self._call(samples)
        except tf.errors.InvalidArgumentError as error:
            if len(samples) == 1:
                return [Refused(f"the model refused it: {' '.join(error.message.split())[:200]}")]
        middle = len(samples) // 2
        return self._bisect(samples[:middle]) + self._bisect(samples[middle:])

    def _call(self, samples: list[bytes]) -> list[Answered]:
        import tensorflow as tf

        return self._serving.answers(self._signature(**{self._serving.input: tf.constant(samples)}))
