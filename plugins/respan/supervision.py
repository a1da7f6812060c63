"""A task's process ends with the one that supervises it."""

from __future__ import annotations

import os
import stat

from ml.warm.lineage import die_with_parent


def end_with_supervisor() -> None:
    """From now on this task's process is killed when its supervisor dies.

    Airflow's supervisor (a worker of the executor) forks the process that runs the task, and is forked by the scheduler
    itself under the LocalExecutor. Killed with ``kill -9``, it leaves that process behind, whose command would go on
    working while the task's retry runs. The supervisor speaks to the task through its standard input, which is
    a socket; where it is none (``dag.test()``, a test) this does nothing.
    """
    try:
        supervised = stat.S_ISSOCK(os.fstat(0).st_mode)
    except OSError:  # standard input is closed
        return
    if supervised:
        die_with_parent(os.getppid())
