"""The checks of the stack's memory: what serves, what `down` leaves, and what a backup brings back."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.loopback import get_json
from scripts.stack.checked_stack import FIRST, CheckedStack, say
from scripts.stack.engine import BrokenPromiseError

_PSQL = ("psql", "--username", "postgres")
#: The commands of docs/stack.md for backups.
DUMP = ("pg_dumpall", "--username", "postgres", "--clean", "--if-exists")
LOAD = (*_PSQL, "--quiet")
PACK = ("tar", "-C", "/var/lib", "-c", "storage", "pipelines")
UNPACK = ("tar", "-C", "/var/lib", "-x")


def serve(stack: CheckedStack) -> None:
    """The model server has what serves, also after a rollback to what isn't the newest version."""
    newest, *earlier = _versions(stack)
    _serves(stack, newest)
    stack.engine.tools("python", "-m", "ml", "release", "rollback", FIRST)
    _serves(stack, earlier[0])
    stack.engine.tools("python", "-m", "ml", "release", "serve", FIRST, "--version", str(newest), "--again")
    _serves(stack, newest)


def down_and_up(stack: CheckedStack) -> None:
    before = _memory(stack)
    stack.engine.on_compose("down")
    stack.engine.up(workers=3)
    _same(before, _memory(stack), "down")
    stack.audit()


def restore(stack: CheckedStack) -> None:
    """Backups of databases and storage bring up the same Respan elsewhere."""
    before = _memory(stack)
    copy = stack.copy("respan-restored")
    with tempfile.TemporaryDirectory() as folder:
        databases, storage = Path(folder, "databases.sql"), Path(folder, "storage.tar")
        stack.engine.postgres(*DUMP, into=databases)
        stack.engine.tools(*PACK, into=storage)
        say(f"backups: {databases.stat().st_size / 1e6:.1f} MB and {storage.stat().st_size / 1e6:.1f} MB")
        stack.engine.on_compose("stop")
        try:
            copy.engine.up("postgres")
            copy.engine.postgres(*LOAD, given=databases)
            copy.engine.tools(*UNPACK, given=storage)
            copy.engine.up()
            _same(before, _memory(copy), "the backup")
            copy.audit()
        finally:
            copy.engine.on_compose("down", "--volumes")
            stack.engine.up(workers=3)


def _same(before: Mapping[str, int], after: Mapping[str, int], event: str) -> None:
    say(", ".join(f"{what}: {count}" for what, count in after.items()))
    if before != after:
        raise BrokenPromiseError(f"before {event} there was {before}")


def _memory(stack: CheckedStack) -> dict[str, int]:
    """How much of each kind of state there is."""
    query = ("--command", "SELECT count(*) FROM Execution")
    rows = stack.engine.postgres(*_PSQL, "--tuples-only", "--no-align", "--dbname", f"respan_{FIRST}", *query)
    return {
        "training runs": len(stack.airflow.run_ids(f"{FIRST}.training")),
        "releases": len(_versions(stack)),
        "executions in ML Metadata": int(rows.splitlines()[-1]),
    }


def _versions(stack: CheckedStack) -> list[int]:
    """The released ones, the newest first."""
    listed = json.loads(stack.engine.tools("python", "-m", "ml", "release", "list", FIRST, "--json"))
    return sorted((each["version"] for each in listed["releases"]), reverse=True)


def _serves(stack: CheckedStack, version: int) -> None:
    url = f"http://127.0.0.1:{stack.ports['RESPAN_MODEL_PORT']}/v1/models/{FIRST}"

    def loaded() -> bool:
        try:
            found = get_json(url, timeout=10)["model_version_status"]
        except OSError:  # as before the first release
            return False
        return [int(each["version"]) for each in found if each["state"] == "AVAILABLE"] == [version]

    since = time.monotonic()
    stack.airflow.until(loaded, 120, f"the model server doesn't serve version {version} alone")
    say(f"the model server serves version {version} after {time.monotonic() - since:.0f} s")
