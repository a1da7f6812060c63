"""The lines of a predictions file, in the schema of Vertex AI's batch prediction:
https://cloud.google.com/vertex-ai/docs/predictions/get-batch-predictions"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec


class Code(IntEnum):
    """Why a prediction failed: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto"""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Instance(msgspec.Struct, frozen=True):
    """Which sample: ``key`` is its index in the manifest."""

    key: int
    object: str
    generation: str


class Failure(msgspec.Struct, frozen=True):
    code: int
    message: str


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sample's line: it has either a prediction or an error.

    A ``prediction`` is what the kind makes of the model's outputs. Decoded as this class it is but known to be there:
    a Struct without fields, whose content is skipped.
    """

    instance: Instance
    prediction: msgspec.Struct | None = None
    error: Failure | None = None


_ENCODER = msgspec.json.Encoder()


def encode_lines(lines: Sequence[Line]) -> bytes:
    """The lines as JSON Lines, each with its line break."""
    return _ENCODER.encode_lines(lines)
