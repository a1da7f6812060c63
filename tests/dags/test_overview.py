"""What the overview page tells of a pipeline, from a real local storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader
from respan.links import dag_path, report_path
from respan.ui import overview as page
from respan.ui.overview import overview

from ml import layout
from ml.home import PROJECT, pipeline_storage
from ml.layout import model
from ml.records import Batch, ReleaseRecord, TrainingCause, now
from ml.releases import record_release, rollback, serve
from tests.dags.pipeline_folders import write_pipeline

CAUSES = {1: TrainingCause.FIRST_RELEASE, 2: TrainingCause.DEGRADATION}
REVISION = "0123456789abcdef0123456789abcdef01234567"
IMAGE = "registry.example/team/respan@sha256:feed"


@pytest.fixture(autouse=True)
def pipeline(respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with two releases, the second rolled back."""
    monkeypatch.setenv("RESPAN_PIPELINES", str(tmp_path / "pipelines"))
    write_pipeline(tmp_path / "pipelines", "seen")
    storage = pipeline_storage("seen")
    for version, cause in CAUSES.items():
        record = ReleaseRecord(
            version=version,
            run=f"run-{version}",
            window=[version],
            created=now(),
            metrics={},
            classes=["a"],
            code="0",
            cause=cause,
            reason=f"why {version} <b>",
            revision=REVISION if version == 2 else None,
            image=IMAGE if version == 2 else None,
        )
        record_release(storage, record)
        storage.write(f"{model(version)}/saved_model.pb", b"model")
        serve(storage, version, record.reason)
    rollback(storage, reason="complaints")


def test_who_served_is_told_with_what_each_version_was_trained_for() -> None:
    seen = overview("seen")
    assert seen.problem is None
    assert (seen.version, {version: release.cause for version, release in seen.releases.items()}) == (1, CAUSES)
    assert [change.reason for change in seen.history] == ["complaints", "why 2 <b>", "why 1 <b>"]


def rendered() -> str:
    templates = Environment(loader=FileSystemLoader(Path(page.__file__).parent), autoescape=True)
    templates.globals.update(report_path=report_path, dag_path=dag_path)
    return templates.get_template("overview.html.jinja").render(pipelines=[overview("seen")])


def test_the_page_shows_causes_and_reasons_and_escapes_them() -> None:
    html = rendered()
    assert "<td>first release</td>" in html
    assert "<td>degradation</td>" in html
    assert "why 2 &lt;b&gt;" in html


def test_the_page_shows_which_code_each_version_was_trained_with() -> None:
    html = rendered()
    assert f'<code title="{REVISION}">{REVISION[:12]}</code>, image <code>{IMAGE}</code>' in html
    assert "installed</span></td>" in html


def test_the_page_leads_to_each_dag_that_a_pipeline_always_has() -> None:
    stages = ("evaluation", "retraining", "training", "serving")
    assert [stage for stage in stages if f">{stage}</a>" not in rendered()] == []


def test_a_report_that_another_version_of_respan_wrote_is_linked_and_no_error() -> None:
    storage = pipeline_storage("seen")
    batch = Batch(id="batch-0123abcd", pipeline="seen", frozen=now(), samples=63, refused=1)
    storage.write(layout.batch(batch.id, layout.BATCH), batch.to_json())
    assert "not evaluated" in rendered()
    old = (PROJECT / "tests/evaluation_version_1.json").read_bytes()
    storage.write(layout.batch(batch.id, layout.REPORT_JSON), old)
    html = rendered()
    assert "by another version of Respan" in html
    assert f'href="{report_path("seen", batch.id)}"' in html
    assert overview("seen").problem is None
