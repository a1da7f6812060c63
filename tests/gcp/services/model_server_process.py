"""A process that serves one SavedModel over its standard streams, in TFX's environment, in TensorFlow Serving's place.

``python model_server_process.py <folder>`` loads it with the session loader, as TensorFlow Serving and Vertex AI's
prebuilt serving containers do, and writes one line, ``{"ready": true}`` or ``{"error": "…"}``. Then it answers each
line ``{"instances": [...]}`` with ``{"predictions": [...]}`` or ``{"error": "…"}``: row format, REST API of TensorFlow
Serving (https://www.tensorflow.org/tfx/serving/api_rest). It ends when its input does.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

import numpy as np
import tensorflow as tf

SIGNATURE = "serving_default"


class RefusedError(Exception):
    """The server's answer to a request that it can't read."""


class Model:
    """A loaded SavedModel and its signature ``serving_default``."""

    def __init__(self, folder: str) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], folder)
        if SIGNATURE not in loaded.signature_def:
            raise RefusedError(f"Serving signature name: {SIGNATURE!r} not found in signature def")
        self._signature = loaded.signature_def[SIGNATURE]

    def predict(self, instances: Any) -> list[Any]:
        """One prediction for each instance: a dict of the outputs, or the one output's bare value."""
        if not isinstance(instances, list) or not instances:
            raise RefusedError("Request has no instances: 'instances' must be a non-empty list")
        columns = self._columns(instances)
        feeds = {tensor.name: _array(name, tensor, columns[name]) for name, tensor in self._signature.inputs.items()}
        fetches = {name: tensor.name for name, tensor in self._signature.outputs.items()}
        outputs = {name: _readable(name, value) for name, value in self._session.run(fetches, feeds).items()}
        for name, values in outputs.items():
            if not isinstance(values, list) or len(values) != len(instances):
                raise RefusedError(f"Tensor name: {name} has inconsistent batch size, expecting {len(instances)}")
        if len(outputs) == 1:
            return list(next(iter(outputs.values())))
        return [{name: values[row] for name, values in outputs.items()} for row in range(len(instances))]

    def _columns(self, instances: list[Any]) -> dict[str, list[Any]]:
        names = list(self._signature.inputs)
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for row, instance in enumerate(instances):
            if not isinstance(instance, dict) or set(instance) == {"b64"}:
                if len(names) != 1:
                    raise RefusedError(f"Failed to process element: {row} of 'instances' list: it is no object")
                columns[names[0]].append(_decoded(instance))
                continue
            if set(instance) != set(names):
                raise RefusedError(
                    f"Failed to process element: {row} of 'instances' list: it has the inputs {sorted(instance)}, "
                    f"the signature {sorted(names)}"
                )
            for name in names:
                columns[name].append(_decoded(instance[name]))
        return columns


def _decoded(value: Any) -> Any:
    """``value`` with each ``{"b64": …}`` in it as bytes."""
    if isinstance(value, dict):
        if set(value) != {"b64"} or not isinstance(value["b64"], str):
            raise RefusedError('JSON Value is an object: only {"b64": "…"} can be one')
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:
            raise RefusedError(f"Unable to base64 decode: {error}") from error
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value


def _array(name: str, tensor: Any, values: list[Any]) -> np.ndarray:
    dtype = tf.dtypes.as_dtype(tensor.dtype)
    try:
        array = np.array(values, dtype=object if dtype == tf.string else dtype.as_numpy_dtype)
    except (ValueError, TypeError) as error:
        raise RefusedError(f"Tensor {name!r} can't be made from the instances as {dtype.name}: {error}") from error
    if not tf.TensorShape(tensor.tensor_shape).is_compatible_with(array.shape):
        raise RefusedError(f"Tensor {name!r} has the shape {array.shape}, not {tf.TensorShape(tensor.tensor_shape)}")
    return array


def _readable(name: str, value: Any) -> Any:
    """An output as JSON has it: strings as text, those of an output whose name ends in ``_bytes`` as base64."""

    def text(item: Any) -> Any:
        if isinstance(item, list):
            return [text(part) for part in item]
        if not isinstance(item, bytes):
            return item
        return {"b64": base64.b64encode(item).decode()} if name.endswith("_bytes") else item.decode()

    return text(np.asarray(value).tolist())


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what TensorFlow prints must not get between the answers

    def tell(**answer: Any) -> None:
        print(json.dumps(answer), file=answers)

    try:
        model = Model(sys.argv[1])
    except Exception as error:  # a damaged SavedModel raises whatever its reader stumbles over
        tell(error=" ".join(str(error).split()))
        return
    tell(ready=True)
    for line in sys.stdin:
        try:
            tell(predictions=model.predict(json.loads(line)["instances"]))
        except (RefusedError, tf.errors.OpError, UnicodeDecodeError) as error:
            tell(error=" ".join(str(getattr(error, "message", error)).split()))


if __name__ == "__main__":
    main()
