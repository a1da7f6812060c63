"""One labelled image as a ``tf.train.Example``: features ``image`` (bytes, encoded as collected) and ``label`` (bytes,
UTF-8)."""

from __future__ import annotations

IMAGE = "image"
LABEL = "label"


def encode_example(image: bytes, label: str) -> bytes:
    """The serialized Example.

    Written by hand, in protobuf's wire format, since this runs once for each sample and the message has one shape: the
    result equals ``tf.train.Example(…).SerializeToString(deterministic=True)`` at a fraction of the time.
    """
    return _field(_entry(IMAGE, image) + _entry(LABEL, label.encode()))


def _entry(name: str, value: bytes) -> bytes:
    """One entry of ``Features.feature``, a map from string (1) to Feature (2), itself a BytesList (1) of bytes (1)."""
    return _field(_field(name.encode()) + b"\x12" + _sized(_field(_field(value))))


def _field(content: bytes) -> bytes:
    """Field number 1, length-delimited."""
    return b"\x0a" + _sized(content)


def _sized(content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((size,)) + content
    varint = bytearray()
    while size > 0x7F:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    varint.append(size)
    return bytes(varint) + content
