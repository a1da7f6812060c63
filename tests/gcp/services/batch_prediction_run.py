"""One batch prediction: instances in, predictions and errors out.

``InstanceConfig`` says what the model gets (``instance_type``, ``key_field``, ``included_fields``,
``excluded_fields``) and that the output has ``key`` in place of ``instance`` where ``key_field`` is set;
``ManualBatchTuningParameters.batch_size`` (64) how many instances are in one request;
``OutputConfig.gcs_destination`` what an error's line is: the failed instance and ``error`` with ``code`` and
``message``. The files' names, ``prediction.results-…`` and ``prediction.errors_stats-…``, are those that the service
gives to the predictions of custom-trained models, unlike what that documentation says; there is a file of errors even
where there are none. Lines are in no order of the input's, as with the service.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.cloud.aiplatform_v1 import types

from tests.gcp.services.model_server import ModelServerError

DEFAULT_BATCH_SIZE = 64
_MOST_SHARDS = 4
_INVALID_ARGUMENT = 3


@dataclass
class Outcome:
    """What a batch prediction gave: lines of each file of results, lines of errors, and counts."""

    results: list[list[str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    succeeded: int = 0

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each file."""
        shards = self.results or [[]]
        for number, lines in enumerate(shards):
            yield f"prediction.results-{number:05d}-of-{len(shards):05d}", _text(lines)
        yield "prediction.errors_stats-00000-of-00001", _text(self.errors)


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


class InstanceError(Exception):
    """A line can't become an instance."""


def predict(
    lines: Sequence[str],
    config: types.BatchPredictionJob.InstanceConfig,
    batch_size: int,
    ask: Callable[[list[Any]], list[Any]],
) -> Outcome:
    """Predicts all ``lines`` in batches; a batch that the model refuses goes again, instance by instance.

    ``ask`` raises ``ModelServerError`` for a refusal; anything else that it raises ends the prediction.
    """
    outcome = Outcome()
    wanted: list[tuple[Any, Any]] = []
    for line in lines:
        try:
            source = _parsed(line)
        except InstanceError as error:
            _refused(outcome, {"instance": line}, str(error))
            continue
        try:
            wanted.append((_identified(source, config), _instance(source, config)))
        except InstanceError as error:
            _refused(outcome, {"instance": source}, str(error))
    batches = [wanted[at : at + batch_size] for at in range(0, len(wanted), batch_size)]
    outcome.results = [[] for _ in range(min(_MOST_SHARDS, max(1, len(batches))))]
    for number, batch in enumerate(batches):
        shard = outcome.results[number % len(outcome.results)]
        try:
            answers = list(zip(batch, ask([instance for _, instance in batch]), strict=True))
        except ModelServerError:
            answers = []
            for identified, instance in batch:
                try:
                    answers.append(((identified, instance), ask([instance])[0]))
                except ModelServerError as error:
                    _refused(outcome, identified, str(error))
        for (identified, _), prediction in answers:
            shard.append(json.dumps({**identified, "prediction": prediction}))
            outcome.succeeded += 1
    return outcome


def _refused(outcome: Outcome, identified: dict[str, Any], message: str) -> None:
    outcome.errors.append(json.dumps({**identified, "error": {"code": _INVALID_ARGUMENT, "message": message}}))
    outcome.messages.append(message)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InstanceError(f"The line is no JSON: {error}") from error


def _identified(source: Any, config: types.BatchPredictionJob.InstanceConfig) -> dict[str, Any]:
    if not config.key_field:
        return {"instance": source}
    if not isinstance(source, dict) or config.key_field not in source:
        raise InstanceError(f"The instance has no key field {config.key_field!r}")
    return {"key": source[config.key_field]}


def _instance(source: Any, config: types.BatchPredictionJob.InstanceConfig) -> Any:
    excluded = {*config.excluded_fields, *([config.key_field] if config.key_field else [])}
    if not isinstance(source, dict):
        if config.instance_type == "object" or excluded or config.included_fields:
            raise InstanceError("Each line of the JSONL input must be an object")
        return source
    names = list(config.included_fields) or [name for name in source if name not in excluded]
    missing = [name for name in names if name not in source]
    if missing:
        raise InstanceError(f"The instance has no fields {missing}")
    if config.instance_type == "array":
        return [source[name] for name in names]
    return {name: source[name] for name in names}
