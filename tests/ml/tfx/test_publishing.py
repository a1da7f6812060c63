"""From a blessed run to a release, however often it is interrupted and repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ml import layout, releases
from ml.claims import claim_number
from ml.errors import DataError, NotFoundError
from ml.home import PROJECT, pipeline_storage
from ml.kinds.image_classification.kind import KIND
from ml.publishing import publish
from ml.records import ReleaseRecord, now
from ml.runs import read_run
from ml.settings import load_settings
from ml.storage import Storage
from ml.tfx.outcome import run_outcome
from tests.ml.tfx.digits_pipeline import PIPELINE

pytestmark = pytest.mark.slow


def run_name(storage: Storage) -> str:
    return read_run(storage, "first").run


def pushed(storage: Storage) -> Path:
    folder = run_outcome(PIPELINE, storage, run_name(storage)).pushed
    assert folder is not None
    return Path(folder)


def test_a_blessed_run_becomes_the_release_that_serves(finished: Storage) -> None:
    record = publish(PIPELINE, "first", "the first model")
    assert record is not None
    assert (record.version, record.window, record.revision) == (1, [1], None)
    assert sorted(record.classes) == [str(digit) for digit in range(10)]
    assert record.metrics["accuracy"] >= 0.8
    assert finished.exists("models/1/saved_model.pb")
    reference = json.loads(finished.read(layout.release_reference(1)))["predicted"]
    assert sum(reference.values()) == 100
    serving = releases.serving(finished)
    assert serving is not None
    assert [(change.traffic, change.reason) for change in serving.history] == [({1: 100}, "the first model")]


def _claimed(storage: Storage) -> None:
    claim_number(storage, "models", by=run_name(storage))


def _half_copied(storage: Storage) -> None:
    _claimed(storage)
    storage.write("models/1/variables/variables.index", b"half")


def _copied(storage: Storage) -> None:
    _claimed(storage)
    storage.publish(pushed(storage), "models/1", marker="saved_model.pb")


def _recorded(storage: Storage) -> None:
    _copied(storage)
    record = ReleaseRecord(
        version=1,
        run=run_name(storage),
        window=[1],
        created=now(),
        metrics={"accuracy": 0.9},
        classes=["0", "1"],
        code="code",
    )
    releases.record_release(storage, record)


def _done(storage: Storage) -> None:
    publish(PIPELINE, "first", "before")


@pytest.mark.parametrize("interrupted_after", [_claimed, _half_copied, _copied, _recorded, _done])
def test_a_retry_ends_with_the_same_version_and_one_entry_in_the_history(
    finished: Storage, interrupted_after: Callable[[Storage], None]
) -> None:
    interrupted_after(finished)
    record = publish(PIPELINE, "first", "retried")
    assert record is not None
    assert record.version == 1
    serving = releases.serving(finished)
    assert serving is not None
    assert len(serving.history) == 1
    assert releases.versions(finished) == [1]
    published = Path(finished.uri("models/1"))
    assert (published / "variables/variables.index").read_bytes() == (
        pushed(finished) / "variables/variables.index"
    ).read_bytes()


def test_publishing_that_is_killed_at_any_step_is_finished_by_its_retry(trained_home: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ml.tfx.publish_in_child", str(trained_home), str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *killed, whole = [json.loads(line) for line in done.stdout.splitlines()]
    assert not whole["killed"]
    assert len(killed) >= 8, "claim, model, reference, record and who serves are each a change"
    for attempt in killed:
        assert attempt["killed"]
        seen = attempt["seen"]
        assert seen["model"] in ([], whole["retried"]["model"]), "a model is whole or not there"
        assert not seen["released"] or seen["model"], "a release has its model"
        assert not seen["history"] or (seen["released"] and seen["reference"]), "who serves is released"
        assert attempt["retried"] == whole["retried"]
    assert whole["retried"]["released"] == [1]
    assert whole["retried"]["history"] == [[{"1": 100}, "killed"]]
    served = {bool(attempt["seen"]["history"]) for attempt in killed}
    assert served == {False, True}, "kills came before and after the change of who serves"


def test_a_run_that_does_not_exist_is_told(finished: Storage) -> None:
    with pytest.raises(NotFoundError, match="there is no run 'unknown'"):
        publish(PIPELINE, "unknown", "test")


def test_a_model_that_does_not_load_is_not_released(finished: Storage) -> None:
    variables = pushed(finished) / "variables" / "variables.data-00000-of-00001"
    variables.write_bytes(b"damaged")
    with pytest.raises(DataError, match="does not load"):
        publish(PIPELINE, "first", "test")
    assert releases.serving(finished) is None
    assert finished.folders("models") == []


def test_both_loaders_give_the_same_answers(trained: Path) -> None:
    storage = pipeline_storage(PIPELINE)
    outcome = run_outcome(PIPELINE, storage, run_name(storage))
    assert outcome.pushed is not None
    examples = f"{outcome.examples}/Split-eval"
    acceptance = KIND.accept(load_settings(PIPELINE), outcome.pushed, examples, 40)
    assert sum(acceptance.predicted.values()) == 40
