"""The kind ``image_classification``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml.kinds.classification.base import Classification

if TYPE_CHECKING:
    from ml.evaluation.judging import Picture
    from ml.kinds.kind import Inspector, Serving
    from ml.settings import Settings


class ImageClassification(Classification):
    """A sample is an encoded image."""

    extensions = ("png", "jpg", "jpeg")
    collected_feature = "image"
    words = replace(Classification.words, advice="Look here first for wrong labels and for a broken camera.")

    def inspector(self, settings: Settings) -> Inspector:
        from ml.kinds.image_classification.inspection import ImageInspector

        return ImageInspector(settings.data.max_sample_pixels)

    def serving(self, settings: Settings) -> Serving:
        from ml.kinds.image_classification.serving import ImageClassifierServing

        return ImageClassifierServing(settings.data.max_sample_pixels)

    def pictures(self, settings: Settings, data: bytes | None) -> list[Picture]:
        from ml.evaluation.judging import Picture
        from ml.kinds.images.thumbnails import thumbnail

        return [Picture(thumbnail(data, settings.data.max_sample_pixels))]


KIND = ImageClassification()
