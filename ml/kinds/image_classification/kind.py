"""The kind ``image_classification``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.kinds.classification.base import Classification

if TYPE_CHECKING:
    from ml.kinds.kind import Inspector, Serving
    from ml.settings import Settings


class ImageClassification(Classification):
    """A sample is an encoded image."""

    extensions = ("png", "jpg", "jpeg")

    def inspector(self, settings: Settings) -> Inspector:
        from ml.kinds.image_classification.inspection import ImageInspector

        return ImageInspector(settings.data.max_sample_pixels)

    def serving(self, settings: Settings) -> Serving:
        from ml.kinds.image_classification.serving import ImageClassifierServing

        return ImageClassifierServing(settings.data.max_sample_pixels)


KIND = ImageClassification()
