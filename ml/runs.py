"""Training runs: what each was started with, ``runs/<run>/run.json``. Written once, by the run's first step.

A run's code is the pipeline's folder at one revision, or the installed one. :func:`code_of` puts it in place; whatever
reads the run's settings, schema or modules has to be called within it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from ml import layout, releases, windows
from ml.ci_cd.module_cache import fetch_modules
from ml.ci_cd.modules import read_modules
from ml.ci_cd.revisions import shipped
from ml.errors import ConflictError, DataError, NotFoundError, SettingsError
from ml.graph import read_graph
from ml.home import pipelines_in_front
from ml.kinds import kind_of
from ml.names import safe_id
from ml.records import Record, TrainingCause, now
from ml.settings import Settings, Target, code_version, load_settings
from ml.spans.truths import LeftOut
from ml.storage import ABSENT, Storage

if TYPE_CHECKING:
    from ml.spans.window_contents import WindowContents

#: In place of a revision: the installed code.
INSTALLED = "installed"


class TrainingRun(Record):
    """One run. ``code`` is the pipeline's code version when it started; ``settings`` what was given in place of the
    settings file's values, as dotted keys (``training.epochs``). ``cause`` is what started it, and ``reason``
    tells it in words. ``revision`` is that of the modules that it is trained with, None for the installed ones;
    ``image`` the container image that was shipped with them. ``target`` is where it runs. ``champion`` is the version
    that served when it started, which its candidate is compared with; None: nothing served. ``lost_classes`` are those
    that the champion knows and the window has no example of to train on. ``comparison`` are the spans whose eval
    examples the two are compared on, empty for the window's. ``left_out`` counts the examples of the window's spans
    that a newer one of them holds again; None for a run from before this was counted.
    """

    run: str
    pipeline: str
    window: list[int]
    code: str
    started: datetime
    settings: dict[str, str] = Field(default_factory=dict)
    cause: TrainingCause = TrainingCause.MANUAL
    reason: str = TrainingCause.MANUAL.meaning
    revision: str | None = None
    image: str | None = None
    target: Target = "local"
    champion: int | None = None
    lost_classes: list[str] = Field(default_factory=list)
    comparison: list[int] = Field(default_factory=list)
    left_out: LeftOut | None = None


def start_run(
    pipeline: str,
    storage: Storage,
    run_id: str,
    window: list[int] | None = None,
    settings: dict[str, str] | None = None,
    *,
    cause: TrainingCause = TrainingCause.MANUAL,
    reason: str | None = None,
    revision: str | None = None,
) -> TrainingRun:
    """The run named ``run_id``: started now, or as it was started before.

    ``window`` defaults to the newest complete spans, ``reason`` to the meaning of ``cause``, ``revision`` to
    :func:`default_revision`; :data:`INSTALLED` asks for the installed code. A run keeps the cause and the reason that
    it was started with, whatever later calls give.

    Raises ``DataError`` where there is no span, or a model can't be trained and evaluated on the window (with what it
    lacks, and what to do), ``NotFoundError`` for a span that isn't complete or a revision whose
    modules were never copied, and ``ConflictError`` where the run was started with another window, other settings or
    another revision, or where the revision has other components than Airflow's DAG. ``SettingsError`` where the
    settings in force name the target vertex, and storage isn't in Cloud Storage or there is no image to run in.
    """
    name = layout.run(safe_id(run_id), layout.RUN)
    try:
        return _same(TrainingRun.from_json(storage.read(name)), window, settings, revision)
    except NotFoundError:
        pass
    wanted = default_revision(storage) if revision is None else _revision(revision)
    with _code(pipeline, storage, wanted):
        in_force = load_settings(pipeline, settings)
        spans = complete_window(storage, pipeline, window, in_force)
        contents = _check_window(storage, spans, in_force)
        serving = releases.serving(storage)
        champion = releases.read_release(storage, serving.version) if serving else None
        run = TrainingRun(
            run=safe_id(run_id),
            pipeline=pipeline,
            window=spans,
            code=code_version(pipeline),
            started=now(),
            settings=settings or {},
            cause=cause,
            reason=reason or cause.meaning,
            revision=wanted,
            image=read_modules(storage, wanted).image if wanted else None,
            target=in_force.target,
            champion=champion.version if champion else None,
            lost_classes=_lost_classes(contents, champion.classes) if champion else [],
            comparison=_comparison(storage, spans, in_force),
            left_out=contents.left_out,
        )
        if run.target == "vertex":
            _check_vertex(storage, in_force, run)
    try:
        storage.write(name, run.to_json(), if_generation=ABSENT)
    except ConflictError:  # another node of the same run was quicker
        return _same(TrainingRun.from_json(storage.read(name)), window, settings, revision)
    return run


def vertex_image(settings: Settings, run: TrainingRun) -> str | None:
    """The container image that the run's components run in on the target vertex."""
    return settings.vertex.image or run.image


def _check_vertex(storage: Storage, settings: Settings, run: TrainingRun) -> None:
    if not storage.root.startswith("gs://"):
        raise SettingsError(
            f"target vertex of pipeline {run.pipeline} needs storage in Cloud Storage, and it is {storage.root}: set "
            "RESPAN_STORAGE to gs://<bucket>/<folder>, or target to local"
        )
    if vertex_image(settings, run) is None:
        raise SettingsError(
            f"target vertex of pipeline {run.pipeline} has no container image to run in: set vertex.image, or let "
            f"ci_cd build one of the revision ({run.revision or INSTALLED} has none)"
        )


def default_revision(storage: Storage) -> str | None:
    """The revision that a run is trained with if nobody names one; None: the installed code.

    That of the version that serves: neither a revision whose model wasn't released, nor one that was rolled back, comes
    back by itself. Before the first release the one that was shipped last.
    """
    serving = releases.serving(storage)
    if serving is None:
        newest = shipped(storage)
        return newest.revision if newest else None
    revision = releases.read_release(storage, serving.version).revision
    if revision is None or not storage.exists(layout.modules(revision, layout.MODULES_RECORD)):
        return None
    return revision


@contextlib.contextmanager
def code_of(run: TrainingRun, storage: Storage) -> Iterator[None]:
    """Meanwhile the run's pipeline is the one of its revision, in this process and those that it starts.

    Its modules are fetched where they aren't here yet; raises as :func:`ml.ci_cd.module_cache.fetch_modules` does.
    """
    with _code(run.pipeline, storage, run.revision, check_graph=False):
        yield


@contextlib.contextmanager
def _code(pipeline: str, storage: Storage, revision: str | None, *, check_graph: bool = True) -> Iterator[None]:
    if revision is None:
        yield
        return
    folder = fetch_modules(storage, pipeline, revision)
    installed = read_graph(pipeline) if check_graph else None
    with pipelines_in_front(folder.parent):
        if installed is not None and read_graph(pipeline).nodes != installed.nodes:
            raise ConflictError(
                f"revision {revision} of {pipeline} has other components than the installed pipeline, which Airflow's "
                f"DAG is drawn from: install that revision first, or train with `{INSTALLED}` code"
            )
        yield


def read_run(storage: Storage, run_id: str) -> TrainingRun:
    """A run that was started. Raises ``NotFoundError``."""
    try:
        return TrainingRun.from_json(storage.read(layout.run(safe_id(run_id), layout.RUN)))
    except NotFoundError:
        raise NotFoundError(f"there is no run {run_id!r} in {storage.root}") from None


def _revision(given: str) -> str | None:
    return None if given == INSTALLED else given


def _same(
    run: TrainingRun, window: list[int] | None, settings: dict[str, str] | None, revision: str | None
) -> TrainingRun:
    if window is not None and window != run.window:
        raise ConflictError(
            f"run {run.run} was started with window {windows.format(run.window)}, not {windows.format(window)}: "
            "use another run id"
        )
    if settings and settings != run.settings:
        raise ConflictError(f"run {run.run} was started with other settings ({run.settings}): use another run id")
    if revision is not None and _revision(revision) != run.revision:
        raise ConflictError(
            f"run {run.run} was started with revision {run.revision or INSTALLED}, not {revision}: use another run id"
        )
    return run


def _comparison(storage: Storage, window: list[int], settings: Settings) -> list[int]:
    count = settings.training.comparison_spans
    newest = windows.complete_spans(storage) if count is None else windows.window(storage, count)
    return sorted({*window, *newest})


def _check_window(storage: Storage, window: list[int], settings: Settings) -> WindowContents:
    from ml.spans.window_check import check_window

    return check_window(storage, window, classes_from_train=kind_of(settings).classes_from_train)


def _lost_classes(contents: WindowContents, known: Iterable[str]) -> list[str]:
    """Those of the ``known`` classes that the window has no example of to train on, sorted; none where the classes of
    its examples aren't counted."""
    trained = {name for name, count in contents.classes.items() if count.train}
    return sorted(set(known) - trained) if trained else []


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
