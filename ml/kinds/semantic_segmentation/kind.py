"""The kind ``semantic_segmentation``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ml.errors import SettingsError
from ml.kinds.kind import Kind, Part, Unusable
from ml.kinds.object_names import stem_of, unusable_name
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.kinds.semantic_segmentation.words import METRIC, WORDS

if TYPE_CHECKING:
    from ml.comparison.comparer import Comparer
    from ml.evaluation.judging import Judge, Scorer
    from ml.kinds.kind import Acceptance, Inspector, Serving
    from ml.settings import Settings

IMAGE = "image"
MASK = "mask"

#: Of each role's files, in lower case.
_EXTENSIONS = {IMAGE: ("png", "jpg", "jpeg"), MASK: ("png",)}


class SemanticSegmentation(Kind):
    """A sample is an image and the mask of the same id."""

    roles: ClassVar[Mapping[str, str]] = {IMAGE: "images", MASK: "masks"}
    layout = "images/<id>.<png|jpg|jpeg> with masks/<id>.png"
    metric = METRIC
    words = WORDS
    recorded_metrics: ClassVar[Mapping[str, str]] = {METRIC: METRIC, "example_count": "examples"}

    def part_of(self, name: str) -> Part | Unusable:
        if (unusable := unusable_name(name)) is not None:
            return unusable
        folder, *files = name.split("/")
        layout = f"the layout is not {self.layout}"
        role = next((role for role, its_folder in self.roles.items() if its_folder == folder), None)
        if role is None or not files:
            return Unusable(f"{layout}: it is in neither {' nor '.join(self.roles.values())}")
        if len(files) != 1:
            return Unusable(f"{layout}: too many folders")
        stem = stem_of(files[0], _EXTENSIONS[role])
        if isinstance(stem, Unusable):
            return Unusable(f"{layout}: {stem.reason}")
        return Part(stem, role)

    def check(self, settings: Settings) -> None:
        super().check(settings)
        if not isinstance(settings.model, SegmentationSettings):
            raise SettingsError(
                "ModelSettings in the pipeline's settings.py must extend SegmentationSettings, of "
                "ml.kinds.semantic_segmentation.settings"
            )

    def inspector(self, settings: Settings) -> Inspector:
        from ml.kinds.semantic_segmentation.inspection import MaskInspector

        return MaskInspector(settings)

    def serving(self, settings: Settings) -> Serving:
        from ml.kinds.semantic_segmentation.serving import SegmentationServing

        return SegmentationServing(settings)

    def scorer(self, settings: Settings, classes: Sequence[str]) -> Scorer:
        from ml.kinds.semantic_segmentation.scoring import MaskScorer

        return MaskScorer(settings)

    def judge(self, settings: Settings) -> Judge:
        from ml.kinds.semantic_segmentation.judging import MaskJudge

        return MaskJudge(self, settings)

    def comparer(self, settings: Settings, ignored: Collection[str]) -> Comparer:
        from ml.kinds.semantic_segmentation.comparing import MaskComparer

        return MaskComparer(settings.model, ignored)

    def accept(self, settings: Settings, model: str, examples: str, most: int) -> Acceptance:
        from ml.kinds.semantic_segmentation.acceptance import accept

        return accept(settings, model, examples, most)

    def evaluation_config(self, settings: Settings) -> Any:
        from ml.kinds.semantic_segmentation.gate import evaluation_config

        return evaluation_config(settings)


KIND = SemanticSegmentation()
