"""Processes as Airflow's supervisor and its task are: one forks the other, whose standard input is a socket."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

PROGRAM = """
import os, socket, sys, time
from respan.supervision import end_with_supervisor

its_end, task_end = socket.socketpair()
if not os.fork():
    if sys.argv[1] == "supervised":
        os.dup2(task_end.fileno(), 0)
    end_with_supervisor()
    print(os.getpid(), flush=True)
time.sleep(60)
"""


def task_after_its_parent_was_killed(how: str) -> psutil.Process:
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with parent:
        assert parent.stdout is not None
        task = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    return task


def test_a_task_is_killed_with_its_supervisor() -> None:
    task = task_after_its_parent_was_killed("supervised")
    assert psutil.wait_procs([task], timeout=10)[1] == []


def test_what_runs_without_a_supervisor_outlives_the_one_who_started_it() -> None:
    task = task_after_its_parent_was_killed("by itself")
    with pytest.raises(psutil.TimeoutExpired):
        task.wait(timeout=0.5)
    task.kill()
