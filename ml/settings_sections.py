"""The sections of a settings file: their keys, defaults and limits. :mod:`ml.settings` reads and checks the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from ml.settings_section import Section

Share = Annotated[float, Field(ge=0, le=1)]


def _form_of(human_level: Any) -> str:
    return "by_label" if isinstance(human_level, Mapping) else "overall"


class DataSettings(Section):
    """What is accepted as a sample, and how samples become spans."""

    max_sample_bytes: int = Field(10_000_000, ge=1, description="Larger samples go to quarantine.")
    max_sample_pixels: int = Field(50_000_000, ge=1, description="Images of more pixels go to quarantine.")
    max_refused_share: float = Field(
        0.2, ge=0, le=1, description="A batch with a larger share of refused samples fails its task."
    )
    eval_share: float = Field(0.2, gt=0, lt=1, description="Share of each class that goes to the eval split.")
    shard_samples: int = Field(2_000, ge=1, description="Most examples in one TFRecord file.")
    window_spans: int = Field(2, ge=1, description="How many of the newest spans a training run reads.")


class EvaluationSettings(Section):
    """When the released model is evaluated on collected samples, and what is good enough."""

    schedule: str | None = Field(
        "@continuous",
        description="Airflow schedule of the evaluation DAG: @continuous (one run always waits for samples), a cron "
        "expression, or null for runs by hand only.",
    )
    min_samples: int = Field(200, ge=1, description="The sensor waits for this many samples in the inbox.")
    min_samples_per_class: int = Field(
        0,
        ge=0,
        description="It waits for this many of each class, too: each that the serving release knows; before the first "
        "release, each in the inbox, and at least two. 0: not checked.",
    )
    min_evaluated: int = Field(
        100, ge=1, description="Fewer predictions than this give INSUFFICIENT_DATA, not a verdict on the model."
    )
    max_samples: int | None = Field(
        None,
        ge=1,
        description="Most samples in one batch, at least min_samples and min_evaluated; null: all there are.",
    )
    poll_seconds: float = Field(10.0, gt=0, description="How often the sensor looks, in seconds.")
    max_known_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="INSUFFICIENT_DATA if a larger share of the samples proves nothing: copies of others, what the "
        "release was trained on, and copies with different labels.",
    )
    threshold: float = Field(
        0.9, ge=0, le=1, description="DEGRADED when the kind's metric (accuracy, say) is below it."
    )
    confidence: float = Field(
        0.95, ge=0.5, le=0.999, description="Level of the reported confidence intervals, such as 0.95."
    )
    max_label_drift: float | None = Field(
        0.3,
        ge=0,
        le=1,
        description="DRIFTED significantly above this L-infinity distance of the labels' shares; null: not checked.",
    )
    max_prediction_drift: float | None = Field(0.3, ge=0, le=1, description="The same for the predicted labels.")
    max_image_drift: float | None = Field(
        None,
        ge=0,
        le=1,
        description="DRIFTED significantly above this Jensen-Shannon divergence of a statistic of the samples, such as "
        "an image's brightness, over 20 quantiles of the window; null: reported only.",
    )
    drift_false_alarms: float = Field(
        0.01,
        ge=0.0001,
        le=0.2,
        description="How often a batch may be DRIFTED though nothing has changed, as a share of the batches: a "
        "distance above its limit counts only if chance gives as much more rarely, over all limits together.",
    )
    human_level: Annotated[
        Annotated[dict[str, Share], Tag("by_label")] | Annotated[Share, Tag("overall")], Discriminator(_form_of)
    ] = Field(
        1.0,
        description="How good people are by the same measure, from 0 to 1, overall or for each label: what the "
        "priority table measures the gap to. Quote labels that YAML reads as numbers, such as '0'.",
    )

    @field_validator("max_samples")
    @classmethod
    def _allows_a_verdict(cls, limit: int | None, info: ValidationInfo) -> int | None:
        """A batch too small for a verdict is returned to the inbox, where the same would begin again, for ever."""
        fewest = {key: info.data[key] for key in ("min_samples", "min_evaluated") if key in info.data}
        if limit is not None and fewest and limit < max(fewest.values()):
            told = " or ".join(f"evaluation.{key} = {value}" for key, value in fewest.items())
            raise ValueError(f"must not be below {told}, else no batch would ever be large enough")
        return limit


#: What becomes of a candidate that the evidence can't tell from the champion.
WhenUnsure = Literal["release", "keep", "ask"]


class TrainingSettings(Section):
    """How a training run goes."""

    schedule: str | None = Field(
        None, description="Airflow schedule of the training DAG over the newest window; null: on demand and retraining."
    )
    on_degradation: bool = Field(
        True, description="Whether a DEGRADED batch starts a retraining; if not, the batch is archived."
    )
    on_drift: bool = Field(True, description="The same for a DRIFTED batch.")
    on_new_data: bool = Field(
        False, description="Whether every batch with a verdict starts a retraining, also one that passed."
    )
    epochs: int = Field(10, ge=1, description="Passes over the train split.")
    batch_size: int = Field(64, ge=1, description="Examples in one training step.")
    learning_rate: float = Field(
        1e-3, gt=0, description="Adam's learning rate at the start; it falls to 0 along a cosine."
    )
    seed: int = Field(20, ge=0, description="Seed of initialisation, shuffling and augmentation.")
    blessing_threshold: float = Field(
        0.8, ge=0, le=1, description="The Evaluator blesses no candidate whose metric is below it."
    )
    blessing_max_loss: float = Field(
        0.01,
        ge=0,
        le=1,
        description="A candidate is refused if it is worse than the version that serves by more than this, and "
        "significantly so. Both are measured on the same examples.",
    )
    blessing_false_refusals: float = Field(
        0.05,
        gt=0,
        le=0.5,
        description="How often an equally good candidate may be refused, at most: the level of the comparison's tests. "
        "A smaller value lets worse candidates pass more often.",
    )
    when_unsure: WhenUnsure = Field(
        "release",
        description="If too few examples tell the candidate from the version that serves: release the candidate, keep "
        "the version that serves, or ask a person in Airflow.",
    )
    may_lose_classes: list[str] = Field(
        default_factory=list,
        description="Classes that the version that serves knows and a candidate may lack. A candidate that lost any "
        "other class waits for a person, or is not released.",
    )
    comparison_spans: int | None = Field(
        None,
        ge=1,
        description="Candidate and champion are compared on the eval examples of this many of the newest spans, and of "
        "the window; null: of all spans.",
    )
    approval: bool = Field(False, description="Whether a person has to approve each release in Airflow.")


class TunerSettings(Section):
    """The optional search for hyperparameters before the Trainer (KerasTuner)."""

    enabled: bool = Field(False, description="Adds the Tuner to the graph.")
    max_trials: int = Field(6, ge=1, description="Trials of the random search.")
    epochs: int = Field(3, ge=1, description="Epochs of each trial.")
