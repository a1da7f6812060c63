"""Nothing of code under test lives on, whoever is killed."""

from __future__ import annotations

import os
import signal

import pytest

from ml.ci_cd.process_tree import descendants
from tests.unit.ci_cd.callers import Caller
from tests.unit.warm.warm_project import wait_until


def test_a_daemon_is_ended_with_the_code_that_started_it(caller: Caller) -> None:
    outcome = caller.run("daemon")
    assert outcome["code"] == 0
    assert len(outcome["left"]) == 1
    caller.all_end()


def test_at_a_limit_processes_that_left_the_session_end_too(caller: Caller) -> None:
    caller.run("sleep", seconds=1)
    assert set(caller.ids()) == {"guard", "target", "child", "daemon"}
    caller.all_end()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_where_the_caller_is_killed_all_ends_and_the_sandbox_is_removed(caller: Caller, number: signal.Signals) -> None:
    process = caller.start("sleep")
    caller.ids()
    process.send_signal(number)
    process.communicate(timeout=60)
    caller.all_end()
    wait_until(lambda: not (caller.folder / "sandbox" / "home").exists(), "the removal of the sandbox")


def test_where_the_guard_is_killed_all_ends_and_a_retry_may_help(caller: Caller) -> None:
    outcome = caller.run("kill_the_guard")
    caller.all_end()
    assert (outcome["code"], outcome["error"]) == (None, "KilledError")
    assert outcome["message"] == "the tests were ended, since the process that watches over them was killed: try again"


def test_where_somebody_kills_the_guard_all_ends(caller: Caller) -> None:
    process = caller.start("sleep")
    os.kill(caller.ids()["guard"], signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert '"KilledError"' in out
    caller.all_end()


def test_killed_code_under_test_may_be_tried_again(caller: Caller) -> None:
    outcome = caller.run("kill_itself")
    assert (outcome["code"], outcome["error"]) == (-signal.SIGKILL, "KilledError")


def test_a_fork_bomb_ends_when_its_caller_is_killed(caller: Caller) -> None:
    process = caller.start("fork_bomb", processes=100_000)
    wait_until(lambda: len(descendants(process.pid)) > 30, "some processes")
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not caller.processes(), "the end of the fork bomb")
