"""Compares a batch's predicted masks with the true ones."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ml.batches import check_refused_share, write_refusals
from ml.errors import DataError
from ml.evaluation.judging import Case, Judgement
from ml.evaluation.known import find_known
from ml.evaluation.objects import Instance, read_object
from ml.evaluation.records import Counts, PoorMask, WorstCase
from ml.evaluation.records import Failure as FailureCount
from ml.evaluation.reference import Distributions, Evidence, statistics_of
from ml.evaluation.statistics import sample_statistics
from ml.evaluation.verdict import Rules
from ml.kinds.images.encoded import UnusableImageError
from ml.kinds.kind import Kind
from ml.kinds.semantic_segmentation.comparison import Comparison, predicted_mask
from ml.kinds.semantic_segmentation.inspection import MaskInspector, class_of_column
from ml.kinds.semantic_segmentation.masks import Ids, check_mask, count_ids, decode_mask
from ml.kinds.semantic_segmentation.pictures import case_pictures
from ml.kinds.semantic_segmentation.reading import Entry, read_answers, read_entries
from ml.kinds.semantic_segmentation.serving import Answer
from ml.kinds.semantic_segmentation.settings import SegmentationSettings
from ml.labels import normal_label
from ml.parallel import map_ahead
from ml.prediction.lines import Code, Failure
from ml.records import Refusal, ReleaseRecord
from ml.settings import Settings
from ml.storage import Storage

#: How many of the worst cases the report shows.
_WORST = 12
#: Evenly spread images whose statistics are taken for drift.
_CHOSEN = 2_000
#: Distinct ways of failing that are told apart.
_FAILURES = 20


class MaskJudge:
    """An ``ml.evaluation.judging.Judge``.

    A sample whose mask vanished or can't be used has no truth to compare with: it counts as failed, and is a refusal of
    the step "evaluate", so that settling puts it into quarantine with the reason.
    """

    def __init__(self, kind: Kind, settings: Settings) -> None:
        self._kind, self._settings = kind, settings
        self._model: SegmentationSettings = settings.model

    def judge(self, storage: Storage, batch: str, release: ReleaseRecord) -> Judgement:
        """See ``Judge``; raises ``DataError`` where more than ``data.max_refused_share`` of the masks can't be used."""
        self._check_classes(release)
        entries = read_entries(storage, batch)
        inspector = MaskInspector(self._settings)
        known = find_known(storage, self._settings, batch, self._kind, inspector, release)
        found = _Findings(self._model, len(entries))
        for part in read_answers(storage, batch, entries):
            counted = [one for one in part if known.counted[one[0]]]
            for key, answer, truth in self._with_truth(storage, batch, entries, counted):
                try:
                    found.add(key, entries[key], answer, truth)
                except ValueError as error:
                    raise DataError(f"sample {entries[key].object!r} of batch {batch}: {error}") from error
        refusals = found.refusals(entries)
        write_refusals(storage, batch, "evaluate", refusals)
        usable = sum(entry.refused is None for entry in entries)
        reason = Counter(refusal.reason for refusal in refusals).most_common(1)
        check_refused_share(self._settings, len(refusals), usable, reason=reason[0][0] if reason else None)
        rules = self._settings.evaluation
        to_evaluate = usable - int(np.count_nonzero(~known.counted))
        chosen = [[entries[key].image, entries[key].mask] for key in found.evenly_spread(_CHOSEN)]
        statistics = sample_statistics(storage, batch, self._kind, inspector, chosen)
        return Judgement(
            metric=found.comparison.metric(Rules.of(self._settings)),
            further=found.comparison.further(),
            counts=known.added_to(
                Counts(
                    samples=to_evaluate,
                    evaluated=found.comparison.images,
                    failed=to_evaluate - found.comparison.images,
                    refused=len(entries) - usable,
                )
            ),
            classes=found.comparison.classes(rules.confidence, rules.human_level),
            confusion=found.comparison.confusion(),
            failures=found.failure_counts(),
            worst=found.worst(entries),
            found=Distributions(
                labels=found.shares(found.true_shares),
                predicted=found.shares(found.predicted_shares),
                statistics=statistics,
                evidence=Evidence.SHARES,
                label_shares=_label_shares(statistics),
            ),
            known=known,
        )

    def reference(self, columns: Mapping[str, npt.NDArray[np.generic]], predicted: dict[str, float]) -> Distributions:
        return Distributions(
            labels={name: float(np.sum(one, dtype=np.float64)) for name, one in _label_shares(columns).items()},
            predicted=predicted,
            statistics=statistics_of(columns),
            evidence=Evidence.SHARES,
            label_shares=_label_shares(columns),
        )

    def cases(self, storage: Storage, batch: str, worst: Sequence[WorstCase]) -> list[Case]:
        entries = read_entries(storage, batch)
        wanted = {case.object for case in worst}
        masks = {
            entries[key].object: (entries[key], answer.mask_bytes.b64)
            for part in read_answers(storage, batch, entries)
            for key, answer in part
            if entries[key].object in wanted and isinstance(answer, Answer)
        }
        return [self._case(storage, batch, case, *masks[case.object]) for case in worst if isinstance(case, PoorMask)]

    def _case(self, storage: Storage, batch: str, case: PoorMask, entry: Entry, predicted: bytes) -> Case:
        image, mask = (read_object(storage, batch, one) for one in (entry.image, entry.mask))
        pictures = case_pictures(image, mask, predicted, self._model, self._settings.data.max_sample_pixels)
        return Case(object=case.object, pictures=pictures, score=case.mean_iou)

    def _check_classes(self, release: ReleaseRecord) -> None:
        if list(map(normal_label, release.classes)) != self._model.names:
            raise DataError(
                f"release {release.version} knows the classes {', '.join(release.classes)}, and model.classes names "
                f"{', '.join(self._model.names)}: train and release a version with these classes"
            )

    def _with_truth(
        self, storage: Storage, batch: str, entries: list[Entry], part: list[tuple[int, Answer | Failure]]
    ) -> Iterator[tuple[int, Answer | Failure, Ids | str]]:
        def look(one: tuple[int, Answer | Failure]) -> tuple[int, Answer | Failure, Ids | str]:
            return (*one, self._truth(storage, batch, entries[one[0]].mask))

        return map_ahead(look, part)

    def _truth(self, storage: Storage, batch: str, mask: Instance) -> Ids | str:
        """The true mask, or why there is none."""
        data = read_object(storage, batch, mask)
        if data is None:
            return "the mask vanished after the batch was frozen"
        try:
            ids = decode_mask(data, self._settings.data.max_sample_pixels)
            check_mask(ids, ids.shape, self._model.ids, self._model.ignore_index)
        except UnusableImageError as reason:
            return str(reason)
        return "the mask labels no pixel: all are ignored" if np.all(ids == self._model.ignore_index) else ids


def _label_shares(columns: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.float32]]:
    """Each class's share of the labelled area, sample by sample."""
    return {
        name: np.asarray(values, np.float32)
        for column, values in columns.items()
        if (name := class_of_column(column)) is not None
    }


class _Findings:
    """What became of each sample."""

    def __init__(self, model: SegmentationSettings, entries: int) -> None:
        self._model = model
        self.comparison = Comparison(model)
        self.true_shares, self.predicted_shares = np.zeros((2, len(model.ids)))
        self._iou = np.full(entries, np.nan)
        self._reasons: dict[int, str] = {}
        self._failures: Counter[Failure] = Counter()

    def add(self, key: int, entry: Entry, answer: Answer | Failure, truth: Ids | str) -> None:
        """Raises ``ValueError`` for a predicted mask that is none of this release."""
        if isinstance(truth, str):
            self._refuse(key, truth)
        elif isinstance(answer, Failure):
            self._fail(answer)
            self.comparison.add_failed(truth)
        else:
            predicted = predicted_mask(answer.mask_bytes.b64)
            try:
                check_mask(truth, predicted.shape, self._model.ids, self._model.ignore_index)
            except UnusableImageError as reason:
                self._refuse(key, str(reason))
                return
            self._iou[key] = self.comparison.add(truth, predicted)
            areas = count_ids(truth)[self._model.ids]
            self.true_shares += areas / areas.sum()
            self.predicted_shares += answer.class_shares

    def refusals(self, entries: list[Entry]) -> list[Refusal]:
        return [
            Refusal(index=key, object=entries[key].object, generation=entries[key].generation, reason=reason)
            for key, reason in sorted(self._reasons.items())
        ]

    def failure_counts(self) -> list[FailureCount]:
        """The most frequent ways of failing first."""
        return [
            FailureCount(code=failure.code, message=failure.message, count=count)
            for failure, count in self._failures.most_common()
        ]

    def worst(self, entries: list[Entry]) -> list[PoorMask]:
        """Those with the lowest IoU, of equal ones the first in the manifest; perfect ones aren't among them."""
        keys = heapq.nsmallest(_WORST, np.flatnonzero(self._iou < 1).tolist(), key=lambda key: (self._iou[key], key))
        return [
            PoorMask(object=entries[key].object, generation=entries[key].generation, mean_iou=float(self._iou[key]))
            for key in keys
        ]

    def evenly_spread(self, most: int) -> list[int]:
        """At most so many of the samples that were compared."""
        keys = np.flatnonzero(~np.isnan(self._iou))
        spread = np.linspace(0, max(len(keys) - 1, 0), min(most, len(keys)), dtype=int)
        return list(map(int, keys[spread]))

    def shares(self, sums: npt.NDArray[np.float64]) -> dict[str, float]:
        return dict(zip(self._model.names, sums.tolist(), strict=True))

    def _refuse(self, key: int, reason: str) -> None:
        self._reasons[key] = reason
        self._fail(Failure(Code.INVALID_ARGUMENT, reason))

    def _fail(self, failure: Failure) -> None:
        if failure not in self._failures and len(self._failures) >= _FAILURES:
            failure = Failure(failure.code, "other failures")
        self._failures[failure] += 1
