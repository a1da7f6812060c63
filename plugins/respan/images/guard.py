"""A process between a task and an engine: ``python -m respan.images.guard PARENT MARK PROGRAM [ARGUMENT …]``.

An engine starts processes that leave its process group and would go on without it (builds under runc, for one). The
guard inherits them (``PR_SET_CHILD_SUBREAPER``), so it can kill them all: when it is told to (SIGTERM), and when the
process PARENT, which started it, dies in whatever way. It does the same when the engine is killed. Then it removes the
containers that carry MARK (empty: none do) from the engine's store. It ends with the engine's exit code, or 128 + the
signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from ml.ci_cd.process_tree import adopting_orphans, end_descendants, reap
from ml.warm.lineage import die_with_parent
from respan.images.leftovers import remove_containers

_WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def main(parent: int, mark: str, argv: list[str]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    die_with_parent(parent, signal.SIGTERM)
    with adopting_orphans():
        return _run(mark, argv)


def _run(mark: str, argv: list[str]) -> int:
    guard = os.getpid()

    def begin() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        die_with_parent(guard)

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # The engine inherits the file with the registry's login, if this process was given one.
    engine = subprocess.Popen(argv, env=environment, close_fds=False, preexec_fn=begin)
    code = None
    while code is None:
        code = reap().get(engine.pid) if signal.sigwait(_WATCHED) == signal.SIGCHLD else -signal.SIGTERM
    if code >= 0:
        return code
    end_descendants(guard)
    if mark:
        remove_containers(argv[0], mark, begin)
    return 128 - code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
