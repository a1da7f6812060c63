"""The documents that Respan keeps in storage and passes between its parts, each with its schema.

All are frozen and written as JSON. A document read back is validated: an unknown key or a wrong type is a
``pydantic.ValidationError`` that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from enum import Enum

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from ml.labels import normal_label


class Record(BaseModel):
    """Base of all documents: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> bytes:
        return self.model_dump_json(indent=1, exclude_none=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls.model_validate_json(data)


def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


class ManifestPart(Record):
    """A further object of a sample, as :class:`ManifestEntry` describes the first."""

    role: str
    object: str
    generation: str
    size: int
    crc32c: str


class ManifestEntry(Record):
    """One sample of a batch, a line of ``batches/<id>/manifest.jsonl``. It describes the sample's first object.

    ``object`` is relative to the inbox; ``crc32c`` is base64 of the big-endian CRC-32C, as Cloud Storage tells it, and
    may be empty for a refused sample, which isn't read; ``refused`` is the reason why the sample can't be used, found
    when the batch was frozen, and ``label`` is then None. ``role`` and ``parts``, the further objects in the order of
    the kind's roles, are None where a sample is one object, and where a lone object was refused.
    """

    index: int
    object: str
    generation: str
    size: int
    crc32c: str
    label: str | None = None
    refused: str | None = None
    role: str | None = None
    parts: list[ManifestPart] | None = None

    @field_validator("label")
    @classmethod
    def _one_form(cls, label: str | None) -> str | None:
        """Of a manifest, too, that was written before labels had one."""
        return None if label is None else normal_label(label)

    @property
    def objects(self) -> Sequence[ManifestEntry | ManifestPart]:
        """Every object of the sample, the first one first."""
        return (self, *self.parts) if self.parts else (self,)


class BatchState(str, Enum):
    OPEN = "open"
    ARCHIVED = "archived"
    RETURNED = "returned"


class Settlement(Record):
    """Where the samples of a closed batch went: how many to the archive, to quarantine, and how many had vanished.

    A sample of several objects is where its first one is.
    """

    archived: int = 0
    quarantined: int = 0
    vanished: int = 0


class Batch(Record):
    """``batches/<id>/batch.json``: a frozen set of samples. ``samples`` counts the usable ones, ``refused`` the others.

    A *returned* batch was dissolved: its samples are in the inbox as if it had never been, but for those that were put
    into quarantine first. ``settlement`` is there once the batch is closed. ``incomplete`` counts the files that waited
    for their counterpart and were left in the inbox; None where a sample is one object. ``ignored`` counts the files in
    the inbox that are never samples (see ``ml.clutter``), and ``ignored_example`` names one. ``warnings``: what a
    person should look at, a line each.
    """

    id: str
    pipeline: str
    frozen: datetime
    samples: int
    refused: int
    incomplete: int | None = None
    ignored: int = 0
    ignored_example: str | None = None
    warnings: list[str] = []
    state: BatchState = BatchState.OPEN
    settlement: Settlement | None = None


class Refusal(Record):
    """A sample found unusable after the freeze, a line of ``batches/<id>/refusals/<step>.jsonl``.

    ``object`` is the sample's first; in ``vanished.jsonl`` the one that vanished.
    """

    index: int
    object: str
    generation: str
    reason: str


class OpenBatch(Record):
    """``batches/open.json``: which batch is open. It exists while one is, so there is never more than one."""

    batch: str
    since: datetime


class Claim(Record):
    """``claims/<kind>/<number>.json``: who holds a number."""

    by: str
    since: datetime


class ClassCount(Record):
    train: int = 0
    eval: int = 0


class Span(Record):
    """``spans/span-N/span.json``: one span, complete when this file is there.

    ``classes`` counts the examples for each label and split; ``duplicates`` and ``refused`` the samples of the batch
    that are not in it. ``samples.jsonl.gz`` beside it tells the fate of each sample (see ``ml.spans``).
    """

    span: int
    batch: str
    created: datetime
    classes: dict[str, ClassCount]
    train: int
    eval: int
    duplicates: int
    refused: int


class SampleFate(str, Enum):
    TRAIN = "train"
    EVAL = "eval"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class SpanSample(Record):
    """What became of one sample of the batch, a line of ``spans/span-N/samples.jsonl.gz``, in the manifest's order.

    ``content`` is the SHA-256 (hex) of the decoded sample; None for a refused one. ``truth`` is a digest
    (``ml.spans.truths``) of what people say of it; None for a sample that gives no example, and in spans that were
    prepared before there was this key.
    """

    object: str
    generation: str
    fate: SampleFate
    content: str | None = None
    truth: str | None = None


class Verdict(str, Enum):
    """What an evaluation says of the released model on one batch."""

    PASS = "PASS"  # noqa: S105 (no password)
    DEGRADED = "DEGRADED"
    DRIFTED = "DRIFTED"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class TrainingCause(str, Enum):
    """What a training run was started by."""

    FIRST_RELEASE = "first_release"
    DEGRADATION = "degradation"
    DRIFT = "drift"
    NEW_DATA = "new_data"
    CODE_CHANGE = "code_change"
    SCHEDULE = "schedule"
    MANUAL = "manual"

    @property
    def meaning(self) -> str:
        """The reason in words, where nobody gives a better one."""
        return _CAUSE_MEANINGS[self]


_CAUSE_MEANINGS = {
    TrainingCause.FIRST_RELEASE: "no version is released yet",
    TrainingCause.DEGRADATION: "the released version is not good enough on new data",
    TrainingCause.DRIFT: "new data differs from the training data",
    TrainingCause.NEW_DATA: "there is new data",
    TrainingCause.CODE_CHANGE: "its code changed",
    TrainingCause.SCHEDULE: "on schedule",
    TrainingCause.MANUAL: "started by hand",
}


class ReleaseRecord(Record):
    """``releases/<version>.json``: where a released version came from; never changed.

    ``cause`` and ``reason`` tell why it was trained and released: what started the training run, and that in words.
    ``metrics`` are the Evaluator's overall metrics on the eval split of the window. ``revision`` is that of the modules
    that it was trained with, None for the installed ones; ``image`` the container image of the code base at that
    revision, None where none was built.
    ``champion`` is the version that it was compared with, ``comparison`` says how it compares; ``lost_classes`` are
    those that the champion knows and it doesn't, ``new_classes`` the reverse. ``confirmed``: a person confirmed the
    release.
    """

    version: int
    run: str
    window: list[int]
    created: datetime
    metrics: dict[str, float]
    classes: list[str]
    code: str = Field(description="SHA-256 of the pipeline's own files (settings and modules)")
    cause: TrainingCause = TrainingCause.MANUAL
    reason: str = TrainingCause.MANUAL.meaning
    revision: str | None = None
    image: str | None = None
    champion: int | None = None
    comparison: str | None = None
    lost_classes: list[str] = Field(default_factory=list)
    new_classes: list[str] = Field(default_factory=list)
    confirmed: bool = False


class ServingChange(Record):
    """One entry of the serving document's history."""

    at: datetime
    traffic: dict[int, int]
    reason: str


class Serving(Record):
    """``releases/serving.json``: who serves, with the share of the traffic in percent, and since when.

    The newest change is last in ``history`` and is what serves now.
    """

    history: list[ServingChange]

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        for change in self.history:
            if sum(change.traffic.values()) != 100 or any(share < 1 for share in change.traffic.values()):
                raise ValueError(f"the traffic of {change.at} does not add up to 100 percent")
        return self

    @property
    def traffic(self) -> dict[int, int]:
        return self.history[-1].traffic

    @property
    def version(self) -> int:
        """The champion: the version that is evaluated, and that candidates are compared with.

        Of several that share the traffic it is the one that last had all of it; without one that with the largest share
        (the oldest of equals).
        """
        return self.champions[-1]

    @property
    def champions(self) -> list[int]:
        """The champion after each change."""
        found: list[int] = []
        whole: int | None = None
        for change in self.history:
            if len(change.traffic) == 1:
                [whole] = change.traffic
            if whole not in change.traffic:
                whole = None
            largest = max(change.traffic, key=lambda version: (change.traffic[version], -version))
            found.append(largest if whole is None else whole)
        return found
