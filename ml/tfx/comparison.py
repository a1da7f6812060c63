"""The component after the Evaluator: compares a candidate with the champion, and blesses what may be released.

TFX's Evaluator compares two models by their metrics alone, which says nothing of how sure the difference is; this asks
both models for the same examples, those that neither was trained on. It writes the run's comparison document, and the
blessing that the Pusher goes by: of a candidate that is released, also if a person has to confirm that first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from more_itertools import chunked
from tfx import types
from tfx.components.evaluator import constants
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx.utils import path_utils

from ml.comparison.comparer import Comparer
from ml.comparison.gate import Contest, GateRules, decide
from ml.comparison.records import Comparison, GateDecision
from ml.errors import DataError, NotFoundError
from ml.kinds import kind_of
from ml.kinds.both_loaders import collected_sample, read_examples
from ml.kinds.kind import Kind, Serving
from ml.prediction.served import Answered, ServedModel
from ml.settings import Settings, settings_of
from ml.tfx.window_example_gen import HELD_OUT

#: Examples that are in memory at once.
_CHUNK = 256


class ComparisonSpec(component_spec.ComponentSpec):
    """``settings``: the pipeline's as JSON. ``champion``: the version that serves, 0 before the first release.
    ``record``: URI of the run's comparison document."""

    PARAMETERS = {  # noqa: RUF012
        "pipeline": component_spec.ExecutionParameter(type=str),
        "settings": component_spec.ExecutionParameter(type=str),
        "champion": component_spec.ExecutionParameter(type=int),
        "record": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {  # noqa: RUF012
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "champion_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "evaluated": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    OUTPUTS = {  # noqa: RUF012
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class ComparisonExecutor(base_executor.BaseExecutor):
    """Raises ``NotFoundError`` if the champion's model is gone, and ``DataError`` if a model doesn't answer as its kind
    does. A repeat replaces the document by an equal one."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        settings = settings_of(exec_properties["pipeline"], json.loads(exec_properties["settings"]))
        version = int(exec_properties["champion"]) or None
        evaluated = artifact_utils.get_single_instance(input_dict["evaluated"])
        folder = artifact_utils.get_split_uri(input_dict["examples"], HELD_OUT)
        candidate = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        champion = artifact_utils.get_single_uri(input_dict["champion_model"])
        comparison = compare(
            settings, folder, candidate, champion if version else None, version, model_utils.is_model_blessed(evaluated)
        )
        print(comparison.why, file=sys.stderr)  # noqa: T201
        with fileio.open(exec_properties["record"], "wb") as stream:
            stream.write(comparison.to_json())
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        _bless(
            blessing,
            comparison.decision is not GateDecision.REFUSE,
            artifact_utils.get_single_instance(input_dict["model"]),
            artifact_utils.get_single_instance(input_dict["champion_model"]) if version else None,
        )


class ComparisonGate(base_component.BaseComponent):
    """The component. ``champion_model`` is the imported model of version ``champion``; before the first release, when
    ``champion`` is 0, nothing reads it."""

    SPEC_CLASS = ComparisonSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ComparisonExecutor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        champion_model: types.BaseChannel,
        evaluated: types.BaseChannel,
        settings: Settings,
        champion: int,
        record: str,
    ) -> None:
        document = settings.model_dump(mode="json", include={"kind", "data", "evaluation", "training", "model"})
        spec = ComparisonSpec(
            examples=examples,
            model=model,
            champion_model=champion_model,
            evaluated=evaluated,
            pipeline=settings.name,
            settings=json.dumps(document, sort_keys=True),
            champion=champion,
            record=record,
            blessing=types.Channel(type=standard_artifacts.ModelBlessing),
        )
        super().__init__(spec=spec)


def compare(
    settings: Settings, examples: str, candidate: str, champion: str | None, version: int | None, blessed: bool
) -> Comparison:
    """Compares the SavedModels in the folders ``candidate`` and ``champion``, of the release ``version``, on the
    TFRecords in ``examples``. Without a champion, or a blessing of the Evaluator, no model is asked."""
    kind, rules = kind_of(settings), GateRules.of(settings)
    if champion is None or not blessed:
        return decide(Contest(kind.metric, blessed, version, [], [], None), rules)
    serving = kind.serving(settings)
    models = [_load(candidate, serving, "the candidate"), _load(champion, serving, f"version {version}")]
    known = [model.classes() for model in models]
    lost = frozenset(known[1]) - frozenset(known[0])
    # Twice where a class was lost: what is common decides, and people see what the loss costs.
    comparers = [kind.comparer(settings, ignored) for ignored in dict.fromkeys((lost, lost & rules.may_lose))]
    _ask(kind, comparers, models, examples)
    common, *rest = [comparer.evidence(float(rules.max_loss), rules.error_rate) for comparer in comparers]
    return decide(Contest(kind.metric, blessed, version, known[0], known[1], common, *rest), rules)


def _load(folder: str, serving: Serving, called: str) -> ServedModel:
    if not fileio.exists(f"{folder}/saved_model.pb"):
        raise NotFoundError(f"the model of {called} is gone: there is none in {folder}; let another version serve")
    return ServedModel(folder, serving)


def _ask(kind: Kind, comparers: Sequence[Comparer], models: Sequence[ServedModel], folder: str) -> None:
    for examples in chunked(read_examples(folder), _CHUNK):
        collected = [collected_sample(example, comparers[0].collected, folder) for example in examples]
        answers: list[list[Answered]] = [model.predict(collected) for model in models]
        for example, candidate, champion in zip(examples, *answers, strict=True):
            try:
                for comparer in comparers:
                    comparer.add(example, candidate, champion)
            except ValueError as error:
                raise DataError(f"an example in {folder} can't be compared as {kind.metric}: {error}") from error


def _bless(blessing: types.Artifact, blessed: bool, candidate: types.Artifact, champion: types.Artifact | None) -> None:
    """As TFX's Evaluator does it, for its Pusher and for who reads ML Metadata."""
    file = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    with fileio.open(f"{blessing.uri}/{file}", "w") as stream:
        stream.write("")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
    for role, model in (("current_model", candidate), ("baseline_model", champion)):
        if model is not None:
            blessing.set_string_custom_property(role, model.uri)
