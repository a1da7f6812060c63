"""What differs between kinds of model, behind one class: :class:`Kind`. The rest of ``ml`` is the same for every kind.

A kind tells how a sample lies in the inbox (from names alone, light), and makes the parts that do the work in TFX's
environment: an :class:`Inspector` for spans, a :class:`Serving` for predictions, a :class:`Scorer` for evaluations, the
last check before a release, and the Evaluator's configuration. Importing a kind is light; what its methods return may
need TensorFlow.

A *sample* is one object in the inbox, or several that belong together (an image and its mask). Each of its objects has
a *role*; the object of the first role gives the sample its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from ml.errors import SettingsError
from ml.labels import normal_id, normal_label

if TYPE_CHECKING:
    from ml.comparison.comparer import Comparer
    from ml.evaluation.judging import Judge, Scorer
    from ml.settings import Settings


@dataclass(frozen=True, slots=True)
class Part:
    """An object of the inbox that belongs to a sample, told from its name.

    ``sample`` is what the objects of one sample have in common and nobody else has; ``role`` is one of the kind's;
    ``label`` is the one that the name gives, where the kind has labels in names. Both may be given as the name has them
    and are kept in their one form (see ``ml.labels``); ``written_sample`` and ``written`` are as they were given.
    """

    sample: str
    role: str
    label: str | None = None
    written_sample: str = field(init=False, compare=False)
    written: str | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "written_sample", self.sample)
        object.__setattr__(self, "written", self.label)
        object.__setattr__(self, "sample", normal_id(self.sample))
        if self.label is not None:
            object.__setattr__(self, "label", normal_label(self.label))


@dataclass(frozen=True, slots=True)
class Unusable:
    """The name of an object that can't belong to a sample, and why, for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Words:
    """How people call what the kind measures, each as it stands within a sentence.

    ``metric``: of a batch; ``score``: of one class in it; ``unit``: what classes are counted in. For the report:
    ``worst``: which cases it shows; ``gain``: what a class's priority, (human level − score) × share, stands for
    (empty: nothing more than that); and two sentences, ``interval``: how confidence intervals are made, ``advice``:
    what to look for in the worst cases.
    """

    metric: str
    score: str
    unit: str
    interval: str
    worst: str = "the predictions that are furthest from the truth"
    gain: str = ""
    advice: str = ""


class Refused(str):
    """Why a sample can't be used, one line for people."""

    __slots__ = ()


class Collected(NamedTuple):
    """A sample as it was fetched: its objects' bytes in the order of the kind's roles, and the label of its name."""

    objects: tuple[bytes, ...]
    label: str | None


class Inspected(NamedTuple):
    """What span preparation needs to know of a sample.

    ``content``: 32 bytes that two samples have in common where they show the same, however it is encoded. ``truth``:
    what people say of it; copies of one content with different truths are refused. ``stratum``: eval and train get
    their shares of each. ``example``: the serialized tf.train.Example. ``statistics``: one float32 value for each of
    the inspector's columns. ``classes``: those that occur in it, each once.
    """

    content: bytes
    truth: str
    stratum: str
    example: bytes
    statistics: bytes
    classes: tuple[str, ...]


class Inspector(Protocol):
    """Looks at samples before they become a span."""

    @property
    def columns(self) -> Sequence[str]:
        """The names of the statistics, which drift is measured on later; none is ``label`` or ``split``."""

    def inspect(self, samples: Iterable[Collected | Refused]) -> Iterator[list[Inspected | Refused]]:
        """One answer for each sample, in order, part by part; what is refused already passes. ``samples`` is taken from
        a few parts ahead, so that memory doesn't grow with their number."""

    def conflict(self, one: str, other: str) -> str:
        """Why copies of one content with these two truths are refused."""


class Serving(Protocol):
    """How an exported model of the kind is asked, through its signature ``serving_default``, and what it answers."""

    @property
    def input(self) -> str:
        """The signature's one input, string[N]: the samples' first objects as they were collected. Not ``key``, which
        stands beside it in what a job on Vertex AI reads."""

    @property
    def outputs(self) -> frozenset[str]:
        """The outputs that :meth:`answers` needs: two at least, since Vertex AI's JSON doesn't name a single one."""

    def refusal(self, data: bytes) -> Refused | None:
        """Why the model must not be asked this, as far as a quick look tells (a header, say)."""

    def refusals(self, data: Sequence[bytes]) -> list[Refused | None]:
        """The same after a thorough look, such as decoding."""

    def memory(self, data: bytes) -> int:
        """About how many bytes of memory the model takes to answer this (which has no :meth:`refusal`) beside others:
        so many are asked in one call as fit in 256 MB, or one."""

    def answers(self, outputs: Mapping[str, Any]) -> list[Any]:
        """The outputs (eager tensors, N rows) as N msgspec Structs: what stands under ``prediction`` in a line of
        predictions, with the keys and values of Vertex AI's JSON."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """``classes``: the names of what the model tells apart, in its own order. ``predicted``: how much of each it
    predicts on the examples it was asked (samples, or another measure that shares are taken of)."""

    classes: list[str]
    predicted: dict[str, float]


class Kind(ABC):
    """One kind of model."""

    #: role → the folder of the inbox that its objects lie in ("" is all of the inbox); the first names the sample.
    roles: ClassVar[Mapping[str, str]]
    #: How a sample lies in the inbox, for messages.
    layout: ClassVar[str]
    #: The number that a verdict rests on, as reports name it, such as "accuracy".
    metric: ClassVar[str]
    words: ClassVar[Words]
    #: The Evaluator's metrics that a release records, that with the threshold among them: TFMA's name → ours.
    recorded_metrics: ClassVar[Mapping[str, str]]
    #: Whether a model knows the classes that its train examples have and no others, as a classifier does: then a window
    #: needs two of them at least, and train examples of each class that it has eval examples of. The strata of samples
    #: are their classes then. If not, the classes are settled otherwise, in the settings, say.
    classes_from_train: ClassVar[bool] = False

    @abstractmethod
    def part_of(self, name: str) -> Part | Unusable:
        """What the object ``name`` (relative to the inbox) is. Decides from the name alone: no I/O."""

    def class_folder(self, label: str) -> str | None:
        """The folder with the samples of this label, in the folder of each role; None where names don't tell labels.

        Folders whose names have the same one form (see ``ml.labels``) count as this one."""
        return None

    def check(self, settings: Settings) -> None:
        """Raises ``SettingsError`` for settings that are valid and yet not possible for this kind."""
        if settings.evaluation.min_samples_per_class and self.class_folder("") is None:
            raise SettingsError(
                "`evaluation.min_samples_per_class` must be 0: the names of these samples don't tell their classes"
            )

    @abstractmethod
    def inspector(self, settings: Settings) -> Inspector: ...

    @abstractmethod
    def serving(self, settings: Settings) -> Serving: ...

    @abstractmethod
    def scorer(self, settings: Settings, classes: Sequence[str]) -> Scorer:
        """Counts how good answers are, for samples in a folder; ``classes`` are the release's."""

    @abstractmethod
    def judge(self, settings: Settings) -> Judge:
        """Compares a batch's predictions with its truth."""

    @abstractmethod
    def comparer(self, settings: Settings, ignored: Collection[str]) -> Comparer:
        """Compares a candidate's answers with the champion's. What is of a class in ``ignored`` counts for neither."""

    @abstractmethod
    def accept(self, settings: Settings, model: str, examples: str, most: int) -> Acceptance:
        """The last check before a release: asks the SavedModel in the folder ``model`` for up to ``most`` of the
        examples (TFRecords in the folder ``examples``), in TensorFlow 2's loader and in the session loader.

        Raises ``DataError`` for a model that can't load or answer in either, or whose answers differ.
        """

    @abstractmethod
    def evaluation_config(self, settings: Settings) -> Any:
        """The ``tfma.EvalConfig`` of the Evaluator, with the threshold of the candidate's metric."""
