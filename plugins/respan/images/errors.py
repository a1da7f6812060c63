"""What can go wrong with an image, and whether a retry can help."""

from __future__ import annotations

from ml.errors import RespanError


class ImageError(RespanError):
    """The image can't be made as asked for: a step of its Dockerfile fails, it takes too long, the registry refuses."""


class ImageServiceError(RespanError):
    """An engine's daemon or the registry can't be reached, or the engine was killed: the same may succeed later."""

    retryable = True
