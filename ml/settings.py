"""A pipeline's settings, ``ml/pipelines/<name>/settings.yaml``: every key, its default and what is allowed.

``python -m ml settings <pipeline>`` checks a file and prints what is in force; ``--schema`` prints this page's content
as a table. A key or value that isn't allowed raises ``SettingsError`` naming file, key, and what is allowed.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from ml.errors import SettingsError
from ml.home import pipeline_folder


class Section(BaseModel):
    """Base of the sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    threshold: float = Field(0.9, ge=0, le=1, description="DEGRADED when the kind's metric (accuracy) is below it.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the reported confidence intervals.")
    max_label_drift: float | None = Field(
        0.3, ge=0, le=1, description="DRIFTED above this L-infinity distance of the label shares; null: not checked."
    )
    max_prediction_drift: float | None = Field(0.3, ge=0, le=1, description="The same for the predicted labels.")
    max_image_drift: float | None = Field(
        None,
        ge=0,
        le=1,
        description="DRIFTED above this Jensen-Shannon divergence of an image statistic; null: reported only.",
    )
    human_level: dict[str, float] | float = Field(
        1.0, description="Accuracy of people, overall or for each label: what the priority table measures the gap to."
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
        0.8, ge=0, le=1, description="The Evaluator blesses no candidate whose metric is below it …"
    )
    blessing_max_loss: float = Field(
        0.01,
        ge=0,
        le=1,
        description="… nor one that is worse than the latest blessed model by more than this, both "
        "measured on the same window.",
    )
    approval: bool = Field(False, description="Whether a person has to approve each release in Airflow.")


class TunerSettings(Section):
    """The optional search for hyperparameters before the Trainer (KerasTuner)."""

    enabled: bool = Field(False, description="Adds the Tuner to the graph.")
    max_trials: int = Field(6, ge=1, description="Trials of the random search.")
    epochs: int = Field(3, ge=1, description="Epochs of each trial.")


class Settings(Section):
    """A pipeline's settings file. ``model`` belongs to the pipeline: its ``settings.py`` defines ``ModelSettings``."""

    name: str = Field(exclude=True)
    description: str = Field("", description="One line, shown in Airflow.")
    kind: Literal["image_classification"] = Field(description="What a sample is and how it is judged; see ml/kinds/.")
    target: Literal["local"] = Field("local", description="Where its runs run.")
    owner: str = Field("respan", description="Airflow's owner of the DAGs.")
    tags: list[str] = Field(default_factory=list, description="Further tags of the DAGs.")
    data: DataSettings = DataSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    training: TrainingSettings = TrainingSettings()
    tuner: TunerSettings = TunerSettings()
    model: Any = Field(None, description="The pipeline's own settings.")


def load_settings(pipeline: str, overrides: Mapping[str, str] | None = None) -> Settings:
    """The validated settings of ``pipeline``. Raises ``NotFoundError`` or ``SettingsError`` (one line each).

    ``overrides`` stand in for the file's values, as for one run: dotted key (``training.epochs``) → value as YAML.
    """
    return load_settings_file(pipeline_folder(pipeline) / "settings.yaml", overrides)


def load_settings_file(file: Path, overrides: Mapping[str, str] | None = None) -> Settings:
    """The validated settings in ``file``; the pipeline's name is its folder's."""
    content = _read(file)
    for key, value in (overrides or {}).items():
        _override(content, key, value)
    model = content.pop("model", None)
    if model is not None and not isinstance(model, dict):
        raise SettingsError(f"{file}: `model` must hold keys and values, and is {model!r}")
    if "name" in content:
        raise SettingsError(f"{file}: key `name` is not known; a pipeline's name is its folder's, {file.parent.name!r}")
    try:
        settings = Settings.model_validate({**content, "name": file.parent.name})
    except ValidationError as error:
        raise SettingsError(_one_line(file, Settings, error)) from error
    own = _model_settings(file.parent)
    try:
        return settings.model_copy(update={"model": own.model_validate(model or {})})
    except ValidationError as error:
        raise SettingsError(_one_line(file, own, error, "model.")) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text("utf-8"), _UniqueKeys)  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must hold keys and values, and holds {type(content).__name__}")
    return content


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key `{key.value}` is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def code_version(pipeline: str) -> str:
    """SHA-256 (hex) of the pipeline's own files: what its models depend on besides data and Respan itself.

    Tests, the compiled graph and hidden files don't count.
    """
    folder = pipeline_folder(pipeline)
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        skipped = file.name.endswith(("_test.py", ".pyc")) or file.name == "graph.json"
        if file.is_file() and not skipped and not any(part.startswith((".", "__pycache__")) for part in relative.parts):
            content = file.read_bytes()
            digest.update(f"{relative.as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@lru_cache(maxsize=32)
def _load_model_settings(file: Path, _changed: int) -> type[BaseModel]:
    spec = importlib.util.spec_from_file_location(f"respan_model_settings_{file.parent.name}", file)
    if spec is None or spec.loader is None:
        raise SettingsError(f"{file} can't be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        own = module.ModelSettings
    except Exception as error:
        raise SettingsError(f"{file} can't be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(own, type) and issubclass(own, BaseModel)):
        raise SettingsError(f"{file}: ModelSettings must be a pydantic model")
    return own


def _model_settings(folder: Path) -> type[BaseModel]:
    file = folder / "settings.py"
    if not file.is_file():
        raise SettingsError(f"{file} is missing: it defines ModelSettings, the keys allowed under `model`")
    return _load_model_settings(file, file.stat().st_mtime_ns)


def _override(content: dict[str, Any], key: str, value: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        below = content.get(section)
        inner = dict(below) if isinstance(below, dict) else {}
        content[section] = inner
        content = inner
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SettingsError(f"the value of {key} is not YAML: {value!r}") from error


def _one_line(file: Path, root: type[BaseModel], error: ValidationError, prefix: str = "") -> str:
    first, *others = error.errors()
    path = [str(part) for part in first["loc"]]
    key = prefix + ".".join(path)
    if first["type"] == "extra_forbidden":
        section = _section(root, path[:-1])
        allowed = sorted(set(section.model_fields) - {"name"})
        near = difflib.get_close_matches(path[-1], allowed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        text = f"key `{key}` is not known; {hint}allowed here: {', '.join(allowed)}"
    elif first["type"] == "missing":
        text = f"key `{key}` is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        text = f"key `{key}` is {first['input']!r}: {message[0].lower()}{message[1:]}"
    return f"{file}: {text}" + (f" (and {len(others)} more)" if others else "")


def _section(root: type[BaseModel], path: list[str]) -> type[BaseModel]:
    section = root
    for part in path:
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        if not isinstance(annotation, type(BaseModel)):  # in Python 3.10 list[str] passes for a type
            break
        section = annotation
    return section
