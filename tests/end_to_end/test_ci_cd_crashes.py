"""A change is shipped while a saboteur kills, with ``kill -9``, the processes of the ``clone`` and ``verify.test``
tasks, the warm process or the command during ``verify.run_locally``, and the triggerer while ``train`` waits in it;
nobody helps but a service manager that starts the triggerer again.

``RESPAN_CRASH_SEED`` repeats a schedule; each run draws a new one, which the failure tells.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ml import layout
from ml.ci_cd.records import Modules
from ml.pipeline_files import pipeline_files
from tests.end_to_end.deployment import SHIPPED_CI_CD, SHIPPED_PIPELINE, SHIPPED_TRAINING
from tests.end_to_end.processes import descendants, survivors, warm_processes, working_below
from tests.end_to_end.saboteur import RunningTask, running_tasks
from tests.end_to_end.shipping import FOLDER, MODEL, Code, Shipment, Shipped, still_less_sure, surer_again

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CLONE, TEST, LOCAL_RUN, TRAIN = "clone", "verify.test", "verify.run_locally", "train"
#: A kill comes at most this many seconds after its task was first seen at work.
LONGEST_DELAYS = {CLONE: 0.3, TEST: 0.5, LOCAL_RUN: 8.0, TRAIN: 6.0}
#: How long after its death a service manager starts the triggerer again, at most.
LONGEST_RESTART_SECONDS = 3.0
WARM, COMMAND = "warm process", "command"
#: Between the warm process and a command there is one process, which watches over the command.
GENERATIONS = 2


class CiCdSaboteur:
    """Kills once during each task of :data:`LONGEST_DELAYS`, at moments that follow from ``seed``.

    :ivar done: during which task what was killed.
    :ivar left_behind: processes that went on working for what was killed.
    """

    def __init__(self, code: Code, run_id: str, seed: int) -> None:
        self.done: dict[str, str] = {}
        self.left_behind: list[str] = []
        dice = random.Random(seed)
        self._airflow, self._run_id = code.deployment.airflow, run_id
        self._workspaces = workspaces(code)
        self._delays = {task_id: dice.uniform(0, longest) for task_id, longest in LONGEST_DELAYS.items()}
        self._in_local_run = dice.choice((WARM, COMMAND))
        self._restart_seconds = dice.uniform(0, LONGEST_RESTART_SECONDS)
        self._seen: dict[str, float] = {}

    def look(self) -> None:
        """To be called all the time: kills what is due."""
        for task in running_tasks(self._airflow, SHIPPED_CI_CD, self._run_id):
            if task.task_id in (CLONE, TEST) and self._is_due(task.task_id):
                self._kill_task(task)
            if task.task_id == LOCAL_RUN:
                sandboxed = working_below(self._workspaces)
                if sandboxed and self._is_due(LOCAL_RUN):
                    self._kill_command(sandboxed)
        states = self._airflow.task_states(SHIPPED_CI_CD, self._run_id)
        if states[TRAIN] == "deferred" and self._is_due(TRAIN):
            self._kill_triggerer()

    def _is_due(self, task_id: str) -> bool:
        seen = self._seen.setdefault(task_id, time.monotonic())
        return task_id not in self.done and time.monotonic() >= seen + self._delays[task_id]

    def _kill_task(self, task: RunningTask) -> None:
        doomed = [task.process, *descendants(task.process.pid), *working_below(self._workspaces)]
        task.process.kill()
        self._killed(task.task_id, "task", doomed)

    def _kill_command(self, sandboxed: list[psutil.Process]) -> None:
        warm = warm_processes(self._airflow.environment)
        try:
            line = [sandboxed[0], *sandboxed[0].parents()]
            [generation] = [number for number, process in enumerate(line) if process.pid in warm]
        except (psutil.NoSuchProcess, ValueError):
            return  # it has just ended
        victim = line[generation if self._in_local_run == WARM else generation - GENERATIONS]
        doomed = [victim, *descendants(victim.pid)]
        victim.kill()
        self._killed(LOCAL_RUN, self._in_local_run, doomed)

    def _kill_triggerer(self) -> None:
        doomed = descendants(self._airflow.pid("triggerer"))
        self._airflow.kill("triggerer")
        self._killed(TRAIN, "triggerer", doomed)
        time.sleep(self._restart_seconds)
        self._airflow.start_component("triggerer")

    def _killed(self, task_id: str, what: str, doomed: list[psutil.Process]) -> None:
        self.done[task_id] = what
        self.left_behind += [f"after killing the {what} during {task_id}: {each}" for each in survivors(doomed)]


@dataclass(frozen=True)
class Crashed:
    """The sabotaged run of a push, ended; and what there was before it."""

    code: Code
    saboteur: CiCdSaboteur
    shipment: Shipment
    runs: list[str]
    releases_before: list[int]


@pytest.fixture(scope="module")
def crashed(shipped: Shipped) -> Crashed:
    code, airflow = shipped.code, shipped.code.deployment.airflow
    seed = int(os.environ.get("RESPAN_CRASH_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"RESPAN_CRASH_SEED={seed}")
    before = code.deployment.ml("release", "list", SHIPPED_PIPELINE)["versions"]
    revision = code.repository.push("Still less sure", code.repository.edited(MODEL, still_less_sure))
    run_id = airflow.wait_for_run(SHIPPED_CI_CD, other_than=tuple(code.known), timeout=60)
    saboteur = CiCdSaboteur(code, run_id, seed)

    def ended() -> bool:
        saboteur.look()
        return airflow.run_state(SHIPPED_CI_CD, run_id) in ("success", "failed")

    try:
        airflow.until(ended, 600, f"with RESPAN_CRASH_SEED={seed} the run has not ended")
    finally:
        print(saboteur.done)
    runs = [run for run in airflow.run_ids(SHIPPED_CI_CD) if run not in code.known]
    code.known += runs
    shipment = code.shipment(revision, run_id, airflow.run_state(SHIPPED_CI_CD, run_id))
    return Crashed(code, saboteur, shipment, runs, before)


def test_the_saboteur_hit_before_in_and_after_the_sandbox(crashed: Crashed) -> None:
    assert {LOCAL_RUN, TRAIN} < set(crashed.saboteur.done)
    tries = {
        task["task_id"]: task["try_number"]
        for task in crashed.code.deployment.airflow.task_instances(SHIPPED_CI_CD, crashed.shipment.run_id)
    }
    # The triggerer's death costs no try: the task waits in the next triggerer.
    expected = {task_id: 1 + (task_id in crashed.saboteur.done) for task_id in (CLONE, TEST, LOCAL_RUN)} | {TRAIN: 1}
    assert {task_id: tries[task_id] for task_id in expected} == expected


def test_the_run_succeeded_and_it_is_the_only_one(crashed: Crashed) -> None:
    assert (crashed.shipment.state, crashed.shipment.scope) == ("success", "modules")
    assert crashed.runs == [crashed.shipment.run_id]


def test_there_is_one_training_run_and_one_new_release_of_the_revision(crashed: Crashed) -> None:
    deployment, revision = crashed.code.deployment, crashed.shipment.revision
    [training] = crashed.code.training_runs(revision)
    assert deployment.airflow.run_state(SHIPPED_TRAINING, training) == "success"
    *before, new = crashed.shipment.releases
    assert before == crashed.releases_before
    release = deployment.ml("release", "show", SHIPPED_PIPELINE, str(new))
    assert (release["revision"], release["cause"]) == (revision, "code_change")
    assert 0.5 < crashed.code.surest(seed=73, version=new) <= 0.6501


def test_the_modules_of_the_revision_are_complete(crashed: Crashed) -> None:
    folder = crashed.code.deployment.shipped_storage / layout.modules(crashed.shipment.revision)
    modules = Modules.from_json((folder / layout.MODULES_RECORD).read_bytes())
    pushed = crashed.code.repository.work / FOLDER
    expected = {
        file.relative_to(pushed).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in pipeline_files(pushed)
    }
    copied = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name != layout.MODULES_RECORD
    }
    assert copied == {file.path: file.sha256 for file in modules.files} == expected


def test_no_workspace_and_no_process_is_left(crashed: Crashed) -> None:
    assert crashed.saboteur.left_behind == []
    folder = workspaces(crashed.code)
    assert [entry.name for entry in folder.iterdir() if entry.is_dir()] == []
    assert survivors(working_below(folder)) == []


def test_the_revision_is_the_processed_one(crashed: Crashed) -> None:
    listed = crashed.code.deployment.ml("ci-cd", "list", SHIPPED_PIPELINE)
    assert crashed.code.processed() == crashed.shipment.revision
    assert listed["shipped"]["revision"] == crashed.shipment.revision


def test_a_run_that_failed_is_finished_by_clearing_it_when_the_cause_is_mended(crashed: Crashed) -> None:
    """Somebody has paused the training DAG. Cleared once more, the task finds the training run that there was."""
    code, airflow = crashed.code, crashed.code.deployment.airflow
    airflow.pause(SHIPPED_TRAINING)
    try:
        failed = code.push("Surer again", MODEL, surer_again)
    finally:
        airflow.unpause(SHIPPED_TRAINING)
    assert (failed.state, failed.tasks[TRAIN], failed.tasks["processed"]) == ("failed", "failed", "upstream_failed")
    assert "unpause it, then clear this task" in airflow.task_log(SHIPPED_CI_CD, failed.run_id, TRAIN)
    assert code.training_runs(failed.revision) == []

    airflow.clear(SHIPPED_CI_CD, failed.run_id, TRAIN, "is_released", "processed")
    state = airflow.wait(SHIPPED_CI_CD, failed.run_id, timeout=300)
    finished = code.shipment(failed.revision, failed.run_id, state)
    assert (finished.state, len(finished.releases)) == ("success", len(failed.releases) + 1)
    assert len(code.training_runs(failed.revision)) == 1
    assert code.processed() == failed.revision

    airflow.clear(SHIPPED_CI_CD, failed.run_id, TRAIN)
    state = airflow.wait(SHIPPED_CI_CD, failed.run_id, timeout=120)
    again = code.shipment(failed.revision, failed.run_id, state)
    assert (again.state, again.releases) == ("success", finished.releases)
    assert len(code.training_runs(failed.revision)) == 1


def workspaces(code: Code) -> Path:
    """Where the checkouts of the pipeline's ci_cd runs are."""
    return code.deployment.home / "ci_cd" / SHIPPED_PIPELINE
