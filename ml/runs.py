"""Training runs: what each was started with, ``runs/<run>/run.json``. Written once, by the run's first step."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ml import layout, windows
from ml.errors import ConflictError, DataError, NotFoundError
from ml.names import safe_id
from ml.records import Record, TrainingCause, now
from ml.settings import Settings, code_version, load_settings
from ml.storage import ABSENT, Storage


class TrainingRun(Record):
    """One run. ``code`` is the pipeline's code version when it started; ``settings`` what was given in place of the
    settings file's values, as dotted keys (``training.epochs``). ``cause`` is what started it, and ``reason``
    tells it in words."""

    run: str
    pipeline: str
    window: list[int]
    code: str
    started: datetime
    settings: dict[str, str] = Field(default_factory=dict)
    cause: TrainingCause = TrainingCause.MANUAL
    reason: str = TrainingCause.MANUAL.meaning


def start_run(
    pipeline: str,
    storage: Storage,
    run_id: str,
    window: list[int] | None = None,
    settings: dict[str, str] | None = None,
    *,
    cause: TrainingCause = TrainingCause.MANUAL,
    reason: str | None = None,
) -> TrainingRun:
    """The run named ``run_id``: started now, or as it was started before.

    ``window`` defaults to the newest complete spans, ``reason`` to the meaning of ``cause``. A run keeps the cause and
    the reason that it was started with, whatever later calls give. Raises ``DataError`` where there is no span,
    ``NotFoundError`` for a span that isn't complete, and ``ConflictError`` where the run was started with another
    window or other settings.
    """
    name = layout.run(safe_id(run_id), "run.json")
    try:
        return _same(TrainingRun.from_json(storage.read(name)), window, settings)
    except NotFoundError:
        pass
    in_force = load_settings(pipeline, settings)
    run = TrainingRun(
        run=safe_id(run_id),
        pipeline=pipeline,
        window=complete_window(storage, pipeline, window, in_force),
        code=code_version(pipeline),
        started=now(),
        settings=settings or {},
        cause=cause,
        reason=reason or cause.meaning,
    )
    try:
        storage.write(name, run.to_json(), if_generation=ABSENT)
    except ConflictError:  # another node of the same run was quicker
        return _same(TrainingRun.from_json(storage.read(name)), window, settings)
    return run


def read_run(storage: Storage, run_id: str) -> TrainingRun:
    """A run that was started. Raises ``NotFoundError``."""
    try:
        return TrainingRun.from_json(storage.read(layout.run(safe_id(run_id), "run.json")))
    except NotFoundError:
        raise NotFoundError(f"there is no run {run_id!r} in {storage.root}") from None


def _same(run: TrainingRun, window: list[int] | None, settings: dict[str, str] | None) -> TrainingRun:
    if window is not None and window != run.window:
        raise ConflictError(
            f"run {run.run} was started with window {windows.format(run.window)}, not {windows.format(window)}: "
            "use another run id"
        )
    if settings and settings != run.settings:
        raise ConflictError(f"run {run.run} was started with other settings ({run.settings}): use another run id")
    return run


def complete_window(storage: Storage, pipeline: str, window: list[int] | None, settings: Settings) -> list[int]:
    """``window`` if all its spans are complete; by default the newest. Raises ``DataError`` or ``NotFoundError``."""
    if window is None:
        window = windows.window(storage, settings.data.window_spans)
        if not window:
            raise DataError(
                f"pipeline {pipeline} has no complete span yet: prepare one with `python -m ml span prepare`"
            )
        return window
    missing = [number for number in window if not storage.exists(layout.span(number, layout.SPAN))]
    if missing:
        known = windows.format(windows.complete_spans(storage)) or "none"
        raise NotFoundError(f"span {missing[0]} of pipeline {pipeline} is not complete; complete spans: {known}")
    return window
