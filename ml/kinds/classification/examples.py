"""One labelled sample as a ``tf.train.Example``: a feature that holds it as it was collected, and ``label`` (UTF-8)."""

from __future__ import annotations

from functools import lru_cache

LABEL = "label"

_KEY = b"\x0a"  # field 1, length-delimited: a map entry's key, and each level of Example, Features, Feature, BytesList
_VALUE = b"\x12"  # field 2, length-delimited: a map entry's value


def encode_example(feature: str, collected: bytes, label: str) -> bytes:
    """The serialized Example; ``feature`` is the name that ``collected`` gets, ``Classification.collected_feature``.

    Written by hand, in protobuf's wire format, since this runs once for each sample and the message has one shape: the
    result equals ``tf.train.Example(…).SerializeToString(deterministic=True)`` at a fraction of the time.
    """
    text = label.encode()
    entry_head, label_entry = _entry_head(feature, len(collected)), _entry_head(LABEL, len(text)) + text
    head = _KEY + _varint(len(entry_head) + len(collected) + len(label_entry))
    if feature < LABEL:
        return b"".join((head, entry_head, collected, label_entry))
    return b"".join((head, label_entry, entry_head, collected))


@lru_cache(maxsize=4096)
def _entry_head(name: str, size: int) -> bytes:
    """All of an entry of ``Features.feature`` but its value, which is the last of its bytes and ``size`` long: a map
    from string to Feature, which holds a BytesList, which holds the value."""
    head = _KEY + _varint(size)
    for tag in (_KEY, _VALUE):
        head = tag + _varint(len(head) + size) + head
    head = _KEY + _varint(len(name)) + name.encode() + head
    return _KEY + _varint(len(head) + size) + head


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
