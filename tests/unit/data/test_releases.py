"""Who serves: one document, changed by compare and swap."""

from __future__ import annotations

import json
import threading

import pytest

from ml import layout
from ml.errors import ConflictError, NotFoundError
from ml.records import ReleaseRecord, Serving, now
from ml.releases import read_release, record_release, rollback, serve, serving, versions
from ml.storage import Storage


def released(storage: Storage, version: int, *, run: str | None = None, model: bool = True) -> ReleaseRecord:
    record = ReleaseRecord(
        version=version,
        run=run or f"run-{version}",
        window=[version],
        created=now(),
        metrics={"accuracy": 0.9},
        classes=["3", "8"],
        code="c0de",
    )
    if model:
        storage.write(f"{layout.model(version)}/saved_model.pb", b"model")
    return record_release(storage, record)


def served(storage: Storage, *numbers: int) -> None:
    for number in numbers:
        released(storage, number)
        serve(storage, number, f"release {number}")


def test_before_the_first_release_nobody_serves(storage: Storage) -> None:
    assert serving(storage) is None
    assert versions(storage) == []


def test_a_release_serves_with_all_the_traffic_and_the_history_says_why(storage: Storage) -> None:
    served(storage, 1, 2)
    found = serving(storage)
    assert found is not None
    assert (found.version, found.traffic) == (2, {2: 100})
    assert [change.reason for change in found.history] == ["release 1", "release 2"]


def test_prior_art_8_the_serving_version_is_pinned_and_not_the_newest_one(storage: Storage) -> None:
    """The newest model by name used to be evaluated, not the deployed one."""
    served(storage, 1)
    released(storage, 2)
    released(storage, 10)
    found = serving(storage)
    assert found is not None
    assert found.version == 1
    assert versions(storage) == [1, 2, 10]


def test_prior_art_16_releasing_again_changes_nothing(storage: Storage) -> None:
    """A published release could not be run again: leftovers failed it."""
    served(storage, 1)
    before = storage.read(layout.SERVING)
    first = read_release(storage, 1)
    assert released(storage, 1) == first
    serve(storage, 1, "a retry")
    assert storage.read(layout.SERVING) == before


def test_prior_art_16_a_version_of_another_run_is_a_conflict_and_a_missing_one_is_not_found(
    storage: Storage,
) -> None:
    """HTTP errors of any kind used to read as "already exists"."""
    released(storage, 1)
    with pytest.raises(ConflictError, match="released by run run-1 already"):
        released(storage, 1, run="another")
    with pytest.raises(NotFoundError, match="found: 1"):
        serve(storage, 2, "never released")


def test_a_roll_back_goes_to_the_version_before_and_twice_goes_further_back(storage: Storage) -> None:
    served(storage, 1, 2, 3)
    assert rollback(storage).version == 2
    assert rollback(storage).version == 1
    with pytest.raises(NotFoundError, match="is the first that served"):
        rollback(storage)


def test_a_release_after_a_roll_back_serves_and_rolls_back_to_what_served_before_it(storage: Storage) -> None:
    served(storage, 1, 2)
    rollback(storage)
    served(storage, 3)
    assert rollback(storage).version == 1


def test_a_roll_back_to_a_named_version_may_be_repeated(storage: Storage) -> None:
    served(storage, 1, 2, 3)
    once = rollback(storage, to=1, reason="complaints")
    assert rollback(storage, to=1, reason="complaints") == once
    assert once.history[-1].reason == "complaints"


def test_a_version_whose_model_is_gone_is_not_rolled_back_to(storage: Storage) -> None:
    served(storage, 1, 2)
    storage.delete_tree(layout.model(1))
    with pytest.raises(NotFoundError, match="the model of version 1 is gone"):
        rollback(storage)
    with pytest.raises(NotFoundError, match="no release 7"):
        rollback(storage, to=7)


def test_nothing_to_roll_back_is_said(storage: Storage) -> None:
    with pytest.raises(NotFoundError, match="nothing was released yet"):
        rollback(storage)


def test_changes_at_once_all_end_up_in_the_history(storage: Storage) -> None:
    served(storage, 1)
    for version in range(2, 8):
        released(storage, version)
    threads = [threading.Thread(target=serve, args=(storage, version, "at once")) for version in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = serving(storage)
    assert found is not None
    assert sorted(change_version for change in found.history for change_version in change.traffic) == list(range(1, 8))


def test_a_roll_back_while_a_new_version_is_tried_ends_the_trial(storage: Storage) -> None:
    served(storage, 1)
    released(storage, 2)
    serve(storage, 2, "canary", share=60)
    found = rollback(storage)
    assert found.traffic == {1: 100}
    assert found.history[-1].reason == "rolled back from version 2"


@pytest.mark.parametrize(
    ("changes", "champion"),
    [
        ([{1: 100}], 1),
        ([{1: 100}, {1: 90, 2: 10}], 1),
        ([{1: 100}, {1: 50, 2: 50}], 1),
        ([{1: 100}, {1: 10, 2: 90}], 1),
        ([{1: 100}, {1: 10, 2: 90}, {2: 100}], 2),
        ([{1: 100}, {2: 100}, {1: 100}, {1: 50, 3: 50}], 1),
        ([{1: 100}, {1: 50, 2: 50}, {2: 70, 3: 30}], 2),
        ([{2: 50, 3: 50}], 2),
    ],
)
def test_the_champion_is_the_stable_version_of_a_rollout(changes: list[dict[int, int]], champion: int) -> None:
    """However much of the traffic a candidate has, it is compared with the version that had all of it."""
    history = [{"at": "2026-11-21T00:00:00Z", "reason": "canary", "traffic": traffic} for traffic in changes]
    assert Serving.from_json(json.dumps({"history": history}).encode()).version == champion


def test_the_traffic_adds_up() -> None:
    change = {"at": "2026-11-21T00:00:00Z", "reason": "canary", "traffic": {"1": 90}}
    with pytest.raises(ValueError, match="100 percent"):
        Serving.from_json(json.dumps({"history": [change]}).encode())
