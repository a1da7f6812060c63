"""One line says why a component failed."""

from __future__ import annotations

import apache_beam as beam
import pytest
import tensorflow as tf

from ml.errors import DataError
from ml.tfx.failures import cause


def raised_by(action) -> BaseException:  # type: ignore[no-untyped-def]
    with pytest.raises(BaseException) as raised:  # noqa: PT011
        action()
    return raised.value


def test_an_error_in_a_beam_worker_is_told_without_beams_frames() -> None:
    def work() -> None:
        with beam.Pipeline(argv=["--direct_running_mode=in_memory"]) as pipeline:
            _ = pipeline | beam.Create([0]) | beam.Map(lambda value: 1 // value)

    assert cause(raised_by(work)) == "ZeroDivisionError: integer division or modulo by zero"


def test_an_error_in_a_tensorflow_graph_is_told_without_its_nodes() -> None:
    decode = tf.function(lambda data: tf.io.decode_image(data))
    told = cause(raised_by(lambda: decode(tf.constant(b"no image"))))
    assert told.startswith("InvalidArgumentError: ")
    assert "Unknown image file format" in told
    assert "\n" not in told


def test_an_error_of_respans_own_is_told_as_it_is() -> None:
    def work() -> None:
        try:
            raise DataError("the window has one label only")
        except DataError as error:
            raise RuntimeError("component failed") from error

    assert cause(raised_by(work)) == "the window has one label only"
