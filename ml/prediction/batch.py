"""Predicts a frozen batch with a released model: reads ahead, calls the model for many samples at once, writes lines.

Nothing is visible before the whole file is: it is written locally and published in one step, and the record beside it
says which version it is of. A repeat finds both and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from ml import layout, releases
from ml.batches import check_refused_share, read_batch, read_manifest, write_refusals
from ml.errors import NotFoundError
from ml.fetching import Fetched, fetch
from ml.kinds import kind_of
from ml.kinds.kind import Refused
from ml.parallel import map_ahead
from ml.prediction.documents import Predictions, forget_predictions, read_predictions, write_predictions
from ml.prediction.lines import Line, encode_lines
from ml.prediction.samples import failed_line, instance_of, lots, predictable_batch, refusal_of
from ml.prediction.served import ServedModel
from ml.records import Batch, Refusal
from ml.settings import Settings
from ml.storage import Storage
from ml.temporary import temporary_folder

#: Calls of the model under way: while one computes, the other one's lines are written.
_CALLS = 2


def predict(
    storage: Storage,
    settings: Settings,
    batch_id: str,
    version: int | None = None,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Predictions:
    """Writes ``predictions.jsonl`` of the batch with the released ``version`` (default: the one that serves).

    One line for each usable sample, in the manifest's order; a sample that fails is a line with its error, and a
    refusal of the step "predict". Where the same version's predictions are there already, they are what is returned.

    Raises ``NotFoundError`` where nothing serves yet or the batch or version doesn't exist, ``ConflictError`` for a
    closed batch, and ``DataError`` where more than ``data.max_refused_share`` failed: the file is there for a person to
    look at, and a repeat says the same.
    """
    batch = read_batch(storage, batch_id)
    version = _version(storage, settings, version)
    finished = read_predictions(storage, batch.id)
    if finished is None or finished.version != version:
        finished = _predict(storage, settings, predictable_batch(storage, batch.id), version, advance)
    check_refused_share(settings, finished.failed, finished.predicted + finished.failed)
    return finished


def _version(storage: Storage, settings: Settings, version: int | None) -> int:
    if version is not None:
        return releases.read_release(storage, version).version
    serving = releases.serving(storage)
    if serving is None:
        raise NotFoundError(
            f"{settings.name} has no release yet: make a span, then run `python -m ml train {settings.name}` and "
            f"`python -m ml release publish {settings.name}`"
        )
    return serving.version


def _predict(
    storage: Storage, settings: Settings, batch: Batch, version: int, advance: Callable[[int], None]
) -> Predictions:
    model = ServedModel.of_release(storage, version, kind_of(settings).serving(settings))
    usable = (entry for entry in read_manifest(storage, batch.id) if entry.refused is None)
    answered = map_ahead(
        lambda lot: _answer(model, lot), lots(fetch(storage, usable)), threads=_CALLS, ahead=_CALLS + 1
    )
    predicted = failed = 0
    with temporary_folder() as folder:
        local, refused = folder / "predictions", folder / "refused"
        with local.open("wb") as stream, refused.open("wb") as refusals:
            for encoded, failures, count in answered:
                stream.write(encoded)
                for failure in failures:
                    refusals.write(failure.model_dump_json().encode() + b"\n")
                failed += len(failures)
                predicted += count - len(failures)
                advance(count)
        with refused.open("rb") as lines:
            write_refusals(storage, batch.id, "predict", (Refusal.model_validate_json(line) for line in lines))
        forget_predictions(storage, batch.id)
        storage.upload(local, layout.batch(batch.id, layout.PREDICTIONS))
    predictions = Predictions(version=version, predicted=predicted, failed=failed)
    write_predictions(storage, batch.id, predictions)
    return predictions


def _answer(model: ServedModel, lot: list[Fetched]) -> tuple[bytes, list[Refusal], int]:
    answers = iter(model.predict([sample.data for sample in lot if sample.missing is None]))
    lines, refusals = [], []
    for sample in lot:
        answer = next(answers) if sample.missing is None else Refused(sample.missing)
        if isinstance(answer, Refused):
            lines.append(failed_line(sample, answer))
            refusals.append(refusal_of(lines[-1]))
        else:
            lines.append(Line(instance_of(sample.entry), prediction=answer))
    return encode_lines(lines), refusals, len(lot)
