"""A pipeline's whole life in small, in places of its own: is this code fit to be trained with?

The pipeline's sample data is frozen, made a span, trained on and released; then samples that were held back are
predicted and evaluated by that release. Home, storage and metadata are in one temporary folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ml import layout, windows
from ml.audit import audit
from ml.clutter import is_clutter
from ml.errors import CodeError, ConflictError, SettingsError
from ml.freezing import freeze
from ml.home import METADATA_VARIABLE, pipeline_storage
from ml.kinds import kind_of
from ml.labels import normal_id
from ml.records import Record
from ml.runs import start_run
from ml.sample_data import check_sample_data, write_sample_data
from ml.settings import Settings, load_settings
from ml.settling import settle
from ml.storage import Storage

_RUN = "local run"
_HELD_BACK = "held back"

#: One sample of so many is held back from the training, for the evaluation.
_SHARE = 4

_PLACES = ("RESPAN_HOME", "RESPAN_STORAGE", METADATA_VARIABLE, "TMPDIR")


class HeldBack(Record):
    """What the release said of the samples that it wasn't trained on. They may be few: the verdict decides nothing.

    ``metric`` is the name of the kind's metric, and ``value`` its value on the ``evaluated`` samples.
    """

    verdict: str
    metric: str
    value: float
    evaluated: int


class LocalRunResult(Record):
    """``samples``: how many were written. ``blessed`` is always true: a run without a blessing fails. ``metrics``: the
    Evaluator's. ``seconds``: of each stage, in order."""

    pipeline: str
    samples: int
    blessed: bool
    metrics: dict[str, float]
    held_back: HeldBack
    seconds: dict[str, float]


class Stages:
    """Measures the stages and tells each as it ends."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self.tell = tell
        self._since = time.monotonic()

    def end(self, stage: str, result: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._since, 2)
        self.tell(f"{stage}: {result} ({now - self._since:.1f} s)")
        self._since = now


def run_locally(
    pipeline: str,
    overrides: Mapping[str, str] | None = None,
    *,
    keep: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> LocalRunResult:
    """Runs ``pipeline`` once on its sample data, end to end; ``tell`` gets a line for each stage.

    Settings are the file's, with those in ``ci_cd.local_run`` and then ``overrides`` (as in
    :func:`~ml.settings.load_settings`) in their place. Everything is written to a temporary folder, which is gone
    afterwards whatever happens, or to ``keep``, which stays. Sets the environment of this process meanwhile.

    Raises ``SettingsError`` for a pipeline without sample data, ``CodeError`` where its ``write_samples`` fails or
    writes nothing or the candidate is not blessed, ``ConflictError`` where ``keep`` holds something, and whatever a
    stage raises.
    """
    given = {key: json.dumps(value) for key, value in load_settings(pipeline).ci_cd.local_run.items()}
    given |= {**(overrides or {}), "target": "local"}
    settings = load_settings(pipeline, given)
    check_sample_data(pipeline)
    with _own_places(keep) as folder:
        return _run(settings, given, folder, Stages(tell))


def _run(settings: Settings, given: dict[str, str], folder: Path, stages: Stages) -> LocalRunResult:
    from ml.evaluation.evaluate import evaluate
    from ml.prediction.batch import predict
    from ml.publishing import publish
    from ml.spans.preparation import prepare
    from ml.tfx.outcome import run_outcome
    from ml.tfx.running import local_run

    pipeline, storage = settings.name, pipeline_storage(settings.name)
    stages.end("start", "TFX is imported")

    trained, held_back = _samples(settings, folder / "samples")
    stages.end("samples", f"{len(trained) + len(held_back)} files written, {len(held_back)} of them held back")

    _collect(storage, folder / "samples", trained)
    first = freeze(storage, settings, _RUN)
    span = prepare(storage, settings, first.id)
    settle(storage, first.id)
    stages.end("span", f"{span.train} to train on, {span.eval} to evaluate on, {span.refused} refused")

    run = start_run(pipeline, storage, _RUN, settings=given)
    compiled = local_run(run)
    for node in compiled.nodes:
        stages.tell(f"{node}: {compiled.run_node(node).seconds:.1f} s")
    outcome = run_outcome(pipeline, storage, run.run)
    told = ", ".join(f"{name} {value:.4g}" for name, value in sorted(outcome.metrics.items()))
    stages.end("train", f"window {windows.format(run.window)}, {told}")
    if not outcome.blessed:
        raise CodeError(
            f"the candidate of {pipeline} is not blessed: {told}, and training.blessing_threshold is "
            f"{settings.training.blessing_threshold:g}; ci_cd.local_run may give settings of this run alone"
        )

    publish(pipeline, run.run)
    stages.end("release", "blessed; version 1 serves")

    _collect(storage, folder / "samples", held_back)
    second = freeze(storage, settings, _HELD_BACK)
    predict(storage, settings, second.id)
    report = evaluate(storage, settings, second.id)
    settle(storage, second.id)
    _check_balance(storage, settings)
    metric, evaluated = report.metric, report.counts.evaluated
    if metric.value is None:
        raise CodeError(f"the release of {pipeline} predicted none of the {report.counts.samples} samples held back")
    stages.end("evaluate", f"{report.verdict.value}, {metric.called} {metric.value:.4g} of {evaluated}")
    return LocalRunResult(
        pipeline=pipeline,
        samples=sum(batch.samples + batch.refused for batch in (first, second)),
        blessed=True,
        metrics=outcome.metrics,
        held_back=HeldBack(verdict=report.verdict.value, metric=metric.name, value=metric.value, evaluated=evaluated),
        seconds=stages.seconds,
    )


@contextlib.contextmanager
def _own_places(keep: Path | None) -> Iterator[Path]:
    """The folder of this run; home, storage and temporary files are in it meanwhile."""
    with contextlib.ExitStack() as stack:
        if keep is None:
            made = tempfile.TemporaryDirectory(prefix="respan-local-run-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
        else:
            folder = _empty(keep)
        before = {name: os.environ.get(name) for name in _PLACES}
        stack.callback(_set_environment, before)
        temporary = folder / "tmp"
        temporary.mkdir()
        _set_environment(
            {
                "RESPAN_HOME": str(folder / "home"),
                "RESPAN_STORAGE": f"file://{folder / 'storage'}",
                METADATA_VARIABLE: None,
                "TMPDIR": str(temporary),
            }
        )
        yield folder


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    tempfile.tempdir = None  # found anew from TMPDIR


def _empty(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConflictError(f"{folder} is not empty: name a folder of its own for this run")
    except OSError as error:
        raise SettingsError(f"{folder} can't be used: {error.strerror}") from error
    return folder.absolute()


def _samples(settings: Settings, folder: Path) -> tuple[list[Path], list[Path]]:
    """Has the pipeline write its samples to ``folder``. Their paths in it: those to train on, and those held back."""
    folder.mkdir()
    return hold_back(write_sample_data(settings.name, folder))


def hold_back(samples: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The samples to train on, and a quarter for the evaluation, each sorted; the same ones whatever their order.

    Files that have their name in common but for folder and suffix (an image and its mask) stay together. What is never
    a sample (see ``ml.clutter``) is in neither.
    """
    samples = [file for file in samples if not is_clutter(file.as_posix())]
    stems = sorted({normal_id(file.stem) for file in samples}, key=lambda stem: hashlib.sha256(stem.encode()).digest())
    held_back = set(stems[: max(1, len(stems) // _SHARE)])
    return (
        sorted(file for file in samples if normal_id(file.stem) not in held_back),
        sorted(file for file in samples if normal_id(file.stem) in held_back),
    )


def _collect(storage: Storage, folder: Path, samples: list[Path]) -> None:
    """Moves the samples into the inbox."""
    for sample in samples:
        target = Path(storage.uri(layout.inbox(sample.as_posix())))
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / sample).rename(target)


def _check_balance(storage: Storage, settings: Settings) -> None:
    found = audit(storage, kind_of(settings))
    if not found.balanced:
        raise CodeError(
            f"{found.lost} samples were lost and {found.duplicated} duplicated: {'; '.join(found.problems)}"
        )
