"""The kind of all classifiers; a subclass tells what a sample is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ml.kinds.kind import Acceptance, Kind, Part, Unusable, Words
from ml.kinds.object_names import stem_of, unusable_name
from ml.labels import normal_label

if TYPE_CHECKING:
    from ml.comparison.comparer import Comparer
    from ml.evaluation.judging import Judge, Picture, Scorer
    from ml.settings import Settings

ROLE = "sample"


class Classification(Kind):
    """A sample is one object, ``<label>/<id>.<extension>``."""

    #: Those of a sample's object, in lower case.
    extensions: ClassVar[tuple[str, ...]]
    #: The feature of an example that holds the sample as it was collected, which is what a served model is asked with.
    collected_feature: ClassVar[str]

    roles: ClassVar[Mapping[str, str]] = {ROLE: ""}
    metric = "accuracy"
    classes_from_train = True
    words = Words(
        metric="accuracy",
        score="accuracy",
        unit="samples",
        interval="Intervals are Wilson score intervals.",
        worst="wrong predictions that the model was most sure of",
        gain="how much overall accuracy would gain if the model were as good as people on it",
        advice="Look here first for wrong labels.",
    )
    recorded_metrics: ClassVar[Mapping[str, str]] = {
        "sparse_categorical_accuracy": "accuracy",
        "example_count": "examples",
    }

    def __init_subclass__(cls) -> None:
        cls.layout = f"<label>/<id>.<{'|'.join(cls.extensions)}>"

    def part_of(self, name: str) -> Part | Unusable:
        if (unusable := unusable_name(name)) is not None:
            return unusable
        label, *files = name.split("/")
        layout = f"the layout is not {self.layout}"
        if len(files) != 1:
            return Unusable(f"{layout}: {'too many folders' if files else 'no label'}")
        stem = stem_of(files[0], self.extensions)
        if isinstance(stem, Unusable):
            return Unusable(f"{layout}: {stem.reason}")
        if not normal_label(label):
            return Unusable(f"{layout}: the label is blank")
        return Part(name, ROLE, label)

    def class_folder(self, label: str) -> str:
        return label

    def pictures(self, settings: Settings, data: bytes | None) -> list[Picture]:
        """How the report shows a sample (``data`` is None where it vanished); by default without a picture."""
        return []

    def scorer(self, settings: Settings, classes: Sequence[str]) -> Scorer:
        from ml.evaluation.verdict import Rules
        from ml.kinds.classification.scoring import LabelScorer

        return LabelScorer(Rules.of(settings))

    def judge(self, settings: Settings) -> Judge:
        from ml.kinds.classification.judging import LabelJudge

        return LabelJudge(self, settings)

    def comparer(self, settings: Settings, ignored: Collection[str]) -> Comparer:
        from ml.kinds.classification.comparing import LabelComparer

        return LabelComparer(self.collected_feature, ignored)

    def accept(self, settings: Settings, model: str, examples: str, most: int) -> Acceptance:
        from ml.kinds.classification.acceptance import accept

        return accept(self, settings, model, examples, most)

    def evaluation_config(self, settings: Settings) -> Any:
        from ml.kinds.classification.gate import evaluation_config

        return evaluation_config(settings)
