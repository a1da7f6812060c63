"""What the overview page tells of one pipeline, read from storage."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ml import layout
from ml.batches import list_batches, open_batch
from ml.errors import NotFoundError, RespanError
from ml.evaluation.records import EvaluationReport
from ml.home import pipeline_storage
from ml.records import Batch, OpenBatch, ReleaseRecord, ServingChange
from ml.releases import read_release, serving
from ml.settings import load_settings
from ml.storage import Storage

#: How many of the newest batches and changes of the serving version are shown.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class EvaluatedBatch:
    """A batch, and what its evaluation said. ``report`` is None for one that wasn't evaluated, and for one whose report
    another version of Respan wrote (``foreign``): only its page can be shown."""

    id: str
    frozen: datetime
    samples: int
    refused: int
    state: str
    report: EvaluationReport | None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Overview:
    """``problem`` is the one-line reason why the rest is missing. ``history`` and ``batches``: the newest first.
    ``releases``: where each version in ``history`` came from."""

    pipeline: str
    description: str = ""
    problem: str | None = None
    version: int | None = None
    since: datetime | None = None
    history: list[ServingChange] = field(default_factory=list)
    releases: dict[int, ReleaseRecord] = field(default_factory=dict)
    open: OpenBatch | None = None
    batches: list[EvaluatedBatch] = field(default_factory=list)


def overview(pipeline: str) -> Overview:
    """Reads it. Never raises the errors of ``ml.errors``: a broken pipeline must not hide the others."""
    try:
        description = load_settings(pipeline).description
        storage = pipeline_storage(pipeline)
        current = serving(storage)
        history = current.history[::-1][:SHOWN] if current else []
        newest = list_batches(storage)[::-1][:SHOWN]
        return Overview(
            pipeline=pipeline,
            description=description,
            version=current.version if current else None,
            since=current.history[-1].at if current else None,
            history=history,
            releases={
                version: read_release(storage, version)
                for version in {version for change in history for version in change.traffic}
            },
            open=open_batch(storage),
            batches=[_evaluated(storage, batch) for batch in newest],
        )
    except RespanError as error:
        return Overview(pipeline=pipeline, problem=str(error))


def report_page(pipeline: str, batch: str) -> bytes:
    """The HTML report of a batch's evaluation. Raises ``NotFoundError`` where there is none."""
    return pipeline_storage(pipeline).read(layout.batch(batch, layout.REPORT_HTML))


def _evaluated(storage: Storage, batch: Batch) -> EvaluatedBatch:
    report, foreign = None, False
    try:
        report = EvaluationReport.from_json(storage.read(layout.batch(batch.id, layout.REPORT_JSON)))
    except NotFoundError:
        pass
    except ValueError:
        foreign = True
    return EvaluatedBatch(
        id=batch.id,
        frozen=batch.frozen,
        samples=batch.samples,
        refused=batch.refused,
        state=batch.state.value,
        report=report,
        foreign=foreign,
    )
