from __future__ import annotations

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.kinds.classification.examples import encode_example


def by_protobuf(name: str, collected: bytes, label: str) -> bytes:
    def feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = tf.train.Features(feature={name: feature(collected), "label": feature(label.encode())})
    return bytes(tf.train.Example(features=features).SerializeToString(deterministic=True))


@pytest.mark.parametrize("name", ["image", "row"])
@settings(max_examples=200, deadline=None)
@given(st.one_of(st.integers(0, 300), st.integers(16_200, 16_500), st.just(3_000_000)), st.text(max_size=200))
def test_an_example_is_what_protobuf_writes(name: str, size: int, label: str) -> None:
    collected = b"\xa5" * size
    assert encode_example(name, collected, label) == by_protobuf(name, collected, label)
