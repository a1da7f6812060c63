"""From a push to a release, through a real git repository and a real scheduler."""

from __future__ import annotations

import pytest

from tests.end_to_end.deployment import SHIPPED_CI_CD, SHIPPED_PIPELINE
from tests.end_to_end.shipping import Shipment, Shipped
from tests.unit.docs.github_actions import run_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

VERIFIED = {"verify.lint", "verify.test", "verify.compile", "verify.run_locally"}


def test_a_change_of_the_model_is_verified_and_trained_without_an_image(shipped: Shipped) -> None:
    change = shipped.model_changed
    assert (change.state, change.scope, change.releases) == ("success", "modules", [1])
    assert_passed(change, VERIFIED | {"ship.copy_modules", "train", "is_released", "processed"})
    assert change.tasks["ship.build_image"] == "skipped"


def test_the_release_was_trained_with_the_new_module_and_says_so(shipped: Shipped) -> None:
    deployment = shipped.code.deployment
    release = deployment.ml("release", "show", SHIPPED_PIPELINE, "1")
    assert release["revision"] == shipped.model_changed.revision
    assert release["cause"] == "code_change"
    assert 0.5 < shipped.code.surest(seed=71, version=1) <= 0.7501
    later = deployment.ml("release", "show", SHIPPED_PIPELINE, "2")
    assert later["revision"] == shipped.test_mended.revision
    assert 0.5 < shipped.code.surest(seed=72, version=2) <= 0.7001


def test_a_push_that_breaks_a_test_stops_before_anything_is_built(shipped: Shipped) -> None:
    change = shipped.test_broken
    assert (change.state, change.scope, change.releases) == ("failed", "modules", [1])
    assert change.tasks["verify.test"] == "failed"
    for task in ("verify.compile", "verify.run_locally", "ship.copy_modules", "train", "processed"):
        assert change.tasks[task] == "upstream_failed", task
    assert change.tasks["ship.build_image"] in ("upstream_failed", "skipped")
    assert change.tasks["clean_up"] == "success"
    assert not (shipped.code.deployment.shipped_storage / "modules" / change.revision).exists()
    log = shipped.code.deployment.airflow.task_log(SHIPPED_CI_CD, change.run_id, "verify.test")
    assert "1 of 1 tests failed: " in log
    assert "test_the_model_gives_probabilities" in log


def test_the_fix_that_follows_goes_through(shipped: Shipped) -> None:
    change = shipped.test_mended
    assert (change.state, change.scope, change.releases) == ("success", "modules", [1, 2])


def test_a_change_of_the_readme_does_nothing(shipped: Shipped) -> None:
    change = shipped.readme_changed
    assert (change.state, change.scope, change.releases) == ("success", "none", [1, 2])
    assert {task for task, state in change.tasks.items() if state == "success"} == {
        "detect",
        "clone",
        "decide_scope",
        "processed",
        "clean_up",
    }


def test_a_change_of_a_dag_builds_an_image_that_the_release_names(shipped: Shipped) -> None:
    change = shipped.dag_changed
    airflow = shipped.code.deployment.airflow
    assert (change.state, change.scope, change.releases) == ("success", "whole", [1, 2, 3])
    assert_passed(change, VERIFIED | {"ship.build_image", "ship.copy_modules", "train", "is_released"})
    built = airflow.result(SHIPPED_CI_CD, change.run_id, "ship.build_image")
    assert built["reused"] is False
    release = shipped.code.deployment.ml("release", "show", SHIPPED_PIPELINE, "3")
    assert release["image"] == built["image"]
    assert "sha256:" in release["image"]


def test_what_passed_for_the_same_content_is_not_run_again(shipped: Shipped) -> None:
    """The DAG's change left everything below ``ml/`` as it was."""
    airflow, change = shipped.code.deployment.airflow, shipped.dag_changed
    for step in ("verify.test", "verify.compile", "verify.run_locally"):
        assert airflow.result(SHIPPED_CI_CD, change.run_id, step)["reused"] is True, step
        assert airflow.result(SHIPPED_CI_CD, shipped.test_mended.run_id, step)["reused"] is False, step


def test_each_revision_has_one_training_run(shipped: Shipped) -> None:
    trained = (shipped.model_changed, shipped.test_mended, shipped.dag_changed)
    assert [len(shipped.code.training_runs(change.revision)) for change in trained] == [1, 1, 1]
    for change in (shipped.test_broken, shipped.readme_changed):
        assert shipped.code.training_runs(change.revision) == []


def test_the_newest_revision_is_the_processed_one(shipped: Shipped) -> None:
    assert shipped.code.processed() == shipped.dag_changed.revision


def test_the_github_actions_job_ships_a_revision_of_another_branch(shipped: Shipped) -> None:
    code, airflow = shipped.code, shipped.code.deployment.airflow
    more = code.repository.edited("README.md", lambda text: text + "\nOn a branch.\n")
    revision = code.repository.push("Words on a branch", more, branch="feature")
    login = {"AIRFLOW_USERNAME": "admin", "AIRFLOW_PASSWORD": airflow.api.user.password}
    done = run_job(airflow.url, SHIPPED_PIPELINE, {"REVISION": revision, "BRANCH": "feature", **login})
    assert done.returncode == 0, done.stdout + done.stderr
    run_id = f"github-{revision}"
    code.known.append(run_id)
    change = code.shipment(revision, run_id, airflow.run_state(SHIPPED_CI_CD, run_id))
    assert (change.state, change.scope, change.releases) == ("success", "whole", [1, 2, 3, 4])
    assert code.deployment.ml("release", "show", SHIPPED_PIPELINE, "4")["revision"] == revision


def assert_passed(change: Shipment, tasks: set[str]) -> None:
    assert {task: change.tasks[task] for task in tasks} == dict.fromkeys(tasks, "success")
