"""A version gets a share of the traffic, and the others what is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml.cli import run
from ml.errors import NotFoundError, SettingsError
from ml.home import pipeline_storage
from ml.releases import rollback, serve, serving, traffic_with
from ml.storage import Storage
from tests.unit.data.test_releases import released, served

PIPELINE = "image_classification"


@pytest.mark.parametrize(
    ("before", "version", "share", "after"),
    [
        ({}, 1, 10, {1: 100}),
        ({1: 100}, 2, 100, {2: 100}),
        ({1: 100}, 2, 10, {1: 90, 2: 10}),
        ({1: 90, 2: 10}, 2, 50, {1: 50, 2: 50}),
        ({1: 90, 2: 10}, 2, 10, {1: 90, 2: 10}),
        ({1: 60, 2: 40}, 3, 50, {1: 30, 2: 20, 3: 50}),
        ({1: 50, 2: 50}, 3, 5, {1: 47, 2: 48, 3: 5}),
        ({1: 60, 2: 40}, 3, 99, {1: 1, 3: 99}),
        ({1: 34, 2: 33, 3: 33}, 4, 1, {1: 33, 2: 33, 3: 33, 4: 1}),
    ],
)
def test_who_serves_keeps_his_proportion_of_what_a_version_leaves(
    before: dict[int, int], version: int, share: int, after: dict[int, int]
) -> None:
    assert traffic_with(before, version, share) == after


def test_every_share_adds_up_and_a_repeat_changes_nothing() -> None:
    for share in range(1, 101):
        once = traffic_with({1: 71, 2: 17, 3: 12}, 4, share)
        assert sum(once.values()) == 100
        assert min(once.values()) >= 1
        assert traffic_with(once, 4, share) == once


@pytest.mark.parametrize("share", [0, 101])
def test_a_share_that_is_none_is_refused(share: int) -> None:
    with pytest.raises(SettingsError, match=f"share of {share} percent: give 1 to 100"):
        traffic_with({1: 100}, 2, share)


def test_a_new_version_starts_with_a_share_and_gets_more_when_somebody_says_so(storage: Storage) -> None:
    served(storage, 1)
    released(storage, 2)
    assert serve(storage, 2, "canary", share=10).traffic == {1: 90, 2: 10}
    assert serve(storage, 2, "a retry", share=100).traffic == {1: 90, 2: 10}, "it has served before"
    assert serve(storage, 2, "well done", share=100, again=True).traffic == {2: 100}
    assert len(serve(storage, 2, "a repeat", again=True).history) == 3


def test_a_retry_can_not_undo_a_roll_back_but_a_person_can(storage: Storage) -> None:
    served(storage, 1, 2)
    rollback(storage)
    assert serve(storage, 2, "a retry").traffic == {1: 100}
    assert serve(storage, 2, "meant", again=True).traffic == {2: 100}


def test_a_version_whose_model_is_gone_can_not_serve(storage: Storage) -> None:
    released(storage, 1, model=False)
    with pytest.raises(NotFoundError, match=r"the model of version 1 is gone: .* is empty"):
        serve(storage, 1, "nothing there")
    assert serving(storage) is None


def test_the_command_gives_a_share_and_tells_who_serves(respan_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage = pipeline_storage(PIPELINE)
    served(storage, 1)
    released(storage, 2)
    assert run(["release", "serve", PIPELINE, "--version", "2", "--share", "25", "--reason", "canary", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": 2, "traffic": {"1": 75, "2": 25}}
    assert run(["release", "serve", PIPELINE, "--version", "2"]) == 0
    unchanged = "(nothing was changed: version 2 has served before; --again says that it is meant)"
    assert capsys.readouterr().out == f"version 1: 75 %, version 2: 25 % {unchanged}\n"
    assert run(["release", "serve", PIPELINE, "--version", "2", "--again"]) == 0
    found = serving(storage)
    assert found is not None
    assert found.traffic == {2: 100}
    assert [change.reason for change in found.history] == ["release 1", "canary", "started by hand"]
