"""Compares a classifier's predictions with the labels of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ml.evaluation.judging import Case, Judgement
from ml.evaluation.known import find_known
from ml.evaluation.objects import Instance, read_object
from ml.evaluation.records import Mistake, WorstCase
from ml.evaluation.reference import Distributions, Evidence, statistics_of
from ml.evaluation.statistics import sample_statistics
from ml.evaluation.verdict import Rules
from ml.kinds.classification.accuracy import accuracy
from ml.kinds.classification.base import Classification
from ml.kinds.classification.reading import read_outcomes
from ml.kinds.classification.scores import score
from ml.labels import normal_label
from ml.records import ReleaseRecord
from ml.settings import Settings
from ml.storage import Storage


class LabelJudge:
    """An ``ml.evaluation.judging.Judge``, whatever the samples are."""

    def __init__(self, kind: Classification, settings: Settings) -> None:
        self._kind, self._settings = kind, settings

    def judge(self, storage: Storage, batch: str, release: ReleaseRecord) -> Judgement:
        rules = Rules.of(self._settings)
        inspector = self._kind.inspector(self._settings)
        known = find_known(storage, self._settings, batch, self._kind, inspector, release)
        outcomes = read_outcomes(storage, batch, release.classes, counted=known.counted)
        scores = score(outcomes, rules.confidence, self._settings.evaluation.human_level)
        counts = scores.counts
        chosen = [(one,) for one in outcomes.chosen]
        return Judgement(
            metric=accuracy(scores.correct, counts.evaluated, counts.samples, rules),
            further={},
            counts=known.added_to(counts),
            classes=scores.classes,
            confusion=scores.confusion,
            failures=outcomes.failures,
            worst=outcomes.mistakes,
            found=Distributions(
                labels=_by_form(scores.labels),
                predicted=_by_form(scores.predicted),
                statistics=sample_statistics(storage, batch, self._kind, inspector, chosen),
                evidence=Evidence.COUNTS,
            ),
            known=known,
        )

    def reference(self, columns: Mapping[str, npt.NDArray[np.generic]], predicted: dict[str, float]) -> Distributions:
        labels, counts = np.unique(columns["label"], return_counts=True)
        return Distributions(
            labels=_by_form(dict(zip(labels.tolist(), counts.tolist(), strict=True))),
            predicted=_by_form(predicted),
            statistics=statistics_of(columns),
            evidence=Evidence.COUNTS,
        )

    def cases(self, storage: Storage, batch: str, worst: Sequence[WorstCase]) -> list[Case]:
        return [self._case(storage, batch, one) for one in worst if isinstance(one, Mistake)]

    def _case(self, storage: Storage, batch: str, mistake: Mistake) -> Case:
        data = read_object(storage, batch, Instance(mistake.object, mistake.generation))
        return Case(
            object=mistake.object,
            pictures=self._kind.pictures(self._settings, data),
            score=mistake.probability,
            truth=mistake.label,
            predicted=mistake.predicted,
        )


def _by_form(counts: Mapping[str, float]) -> dict[str, float]:
    """Counts by labels in their one form: spans and models from before labels had one hold others."""
    sums: dict[str, float] = {}
    for label, count in counts.items():
        form = normal_label(label)
        sums[form] = sums.get(form, 0.0) + count
    return sums
