"""Code under test of all sorts, and the process that runs it in a sandbox: ``sandboxed.py FOLDER NAME [LIMIT=N …]``.

Prints the outcome as JSON on standard output; what the code writes goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ml.ci_cd.sandbox import run_sandboxed, sandbox_environment
from ml.ci_cd_settings import LimitSettings
from ml.errors import RespanError


def surroundings() -> int:
    facts = {
        "environment": dict(os.environ),
        "kernel": Path("/proc/self/environ").read_bytes().strip(b"\0").decode(),
        "files": sorted(int(link.name) for link in Path("/proc/self/fd").iterdir() if link.exists()),
        "input": sys.stdin.read(),
        "folder": str(Path.cwd()),
        "temporary": tempfile.gettempdir(),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "oom": int(Path("/proc/self/oom_score_adj").read_text()),
        "leader": os.getpid() == os.getsid(0),
    }
    print(json.dumps(facts))
    return 0


def fail() -> int:
    raise ZeroDivisionError("a bug in the code under test")


def leave() -> int:
    os._exit(17)


def kill_itself() -> int:
    os.kill(os.getpid(), 9)
    return 0


def crash() -> int:
    os.kill(os.getpid(), 11)
    return 0


def _tell_ids(**ids: int) -> None:
    """Tells process ids in the file that ``PATH`` ends with, at once as a whole."""
    file = Path.cwd() / "ids.json"
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(ids))
    draft.rename(file)


def _daemon(ids_from: int) -> int:
    """A process that left session, group and parent behind; its id."""
    reader, writer = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.write(writer, str(os.getpid()).encode())
            os.closerange(0, 3)
            time.sleep(600)
        os._exit(0)
    return int(os.read(reader, ids_from))


def daemon() -> int:
    _tell_ids(daemon=_daemon(64))
    return 0


def sleep() -> int:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    _tell_ids(guard=os.getppid(), target=os.getpid(), child=child.pid, daemon=_daemon(64))
    time.sleep(600)
    return 0


def kill_the_guard() -> int:
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    _tell_ids(target=os.getpid(), child=child.pid, daemon=_daemon(64))
    os.kill(os.getppid(), 9)
    time.sleep(600)
    return 0


def fork_bomb() -> int:
    while True:
        os.fork()


def memory_hog() -> int:
    kept = []
    while True:
        kept.append(bytearray(b"x" * 1_000_000))


def many_that_share_memory() -> int:
    kept = bytearray(b"x" * 40_000_000)
    children = []
    for _ in range(8):
        if not (child := os.fork()):
            time.sleep(1)
            os._exit(0 if kept[0] else 1)
        children.append(child)
    return max(os.waitpid(child, 0)[1] for child in children)


def fill_the_disk() -> int:
    number = 0
    while True:
        number += 1
        Path(os.environ["TMPDIR"], str(number)).write_bytes(bytes(1_000_000))


def fill_the_checkout() -> int:
    number = 0
    while True:
        number += 1
        Path(str(number)).write_bytes(bytes(1_000_000))


def fill_the_disk_without_names() -> int:
    kept = []
    while True:
        kept.append(tempfile.TemporaryFile(dir="/tmp"))  # noqa: SIM115 (they are to stay open)
        kept[-1].write(bytes(1_000_000))


def write_one_large_file() -> int:
    with Path("large").open("wb") as file:
        while True:
            file.write(bytes(1_000_000))


def talk_without_end() -> int:
    while True:
        os.write(1, b"words " * 10_000)


def a_deep_tree_that_cannot_be_entered() -> int:
    os.chdir(os.environ["TMPDIR"])
    for _ in range(1_200):
        Path("deep").mkdir()
        os.chdir("deep")
    Path("file").touch()
    for _ in range(1_200):
        os.chdir("..")
    Path("closed").mkdir()
    Path("closed/file").touch()
    Path("root").symlink_to("/")
    Path("closed").chmod(0)
    return 0


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background of a shell
    folder, name, *given = sys.argv[1:]
    target: Callable[[], int] = globals()[name]
    limits = LimitSettings.model_validate(dict(limit.split("=") for limit in given))
    checkout, sandbox = Path(folder, "checkout"), Path(folder, "sandbox")
    outcome = run_sandboxed(
        target,
        folder=sandbox,
        limits=limits,
        cwd=checkout,
        environment=sandbox_environment(sandbox, checkout, "pipelines"),
    )
    told = {"code": outcome.code, "limit": outcome.limit, "left": outcome.left, "output": outcome.output.tail}
    try:
        told["checked"] = outcome.check("the tests", limits)
    except RespanError as error:
        told |= {"error": type(error).__name__, "message": str(error)}
    print(json.dumps({**told, "size": outcome.output.size, "sandbox": sorted(path.name for path in sandbox.iterdir())}))


if __name__ == "__main__":
    main()
