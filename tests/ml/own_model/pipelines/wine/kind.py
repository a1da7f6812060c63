"""A classifier of table rows. Light: read by Airflow as well, so what needs more is imported by the methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.kinds.classification.base import Classification

if TYPE_CHECKING:
    from ml.kinds.kind import Inspector, Serving
    from ml.settings import Settings


class RowClassification(Classification):
    """A sample is one row, a JSON object of numbers."""

    extensions = ("json",)
    collected_feature = "row"

    def inspector(self, settings: Settings) -> Inspector:
        from .rows import RowInspector

        return RowInspector()

    def serving(self, settings: Settings) -> Serving:
        from .rows import RowServing

        return RowServing()


KIND = RowClassification()
