"""``python3 -m scripts.stack.check``: does with a new stack all that docs/stack.md promises, and prints what it saw.

Needs a container engine, an ``.env``, and a stack that has seen no sample yet; ends with the stack running, with three
workers. It removes nothing but what it made: backups are restored into a second stack, beside the first. Exit code: 0
when every promise was kept, 1 when one was broken. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.airflow_runs import AirflowRuns, LocalAirflowError
from scripts.stack.admin import stack_airflow
from scripts.stack.engine import BrokenPromiseError, Engine
from scripts.stack.env_file import PROJECT, values

FIRST, SECOND = "image_classification", "second"
_AIRFLOW = "/opt/envs/airflow/bin/python"
_PATIENCE = 1200.0
_COPY = "respan-restored"

#: Makes the second pipeline, with a first span of pictures, as a person would with the commands in the README.
_SECOND_PIPELINE = f"""set -e
cp -r /opt/respan/ml/pipelines/{FIRST} /var/lib/pipelines/{SECOND}
python -m ml compile {SECOND}
python -m scripts.demo_data /tmp/pictures
mkdir -p /var/lib/storage/{SECOND}/inbox
cp -r /tmp/pictures/first/. /var/lib/storage/{SECOND}/inbox/
python -m ml batch freeze {SECOND} --run-id first
python -m ml span prepare {SECOND} first
python -m ml batch settle {SECOND} first
"""

PORTS = {"RESPAN_PORT": 8080, "RESPAN_MODEL_PORT": 8501}

_PSQL = ("psql", "--username", "postgres")
#: The commands of docs/stack.md for backups.
DUMP = ("pg_dumpall", "--username", "postgres", "--clean", "--if-exists")
LOAD = (*_PSQL, "--quiet")
PACK = ("tar", "-C", "/var/lib", "-c", "storage", "pipelines")
UNPACK = ("tar", "-C", "/var/lib", "-x")


class Check:
    """The steps, in order; each raises ``BrokenPromiseError`` or what the engine's command said."""

    def __init__(self, engine: Engine, settings: Mapping[str, str]) -> None:
        self.engine, self.settings = engine, settings
        self.ports = {name: int(settings.get(name) or port) for name, port in PORTS.items()}
        self.airflow = self._airflow(self.ports["RESPAN_PORT"])

    def _airflow(self, port: int) -> AirflowRuns:
        return stack_airflow(f"http://127.0.0.1:{port}", self.settings)

    def build(self) -> None:
        since = time.monotonic()
        self.engine.build()
        size = self.engine.image_bytes(self.settings.get("RESPAN_IMAGE") or "respan:latest")
        say(f"built in {time.monotonic() - since:.0f} s; the image has {size / 1e9:.2f} GB")

    def start(self) -> None:
        since = time.monotonic()
        self.engine.up()
        say(f"every service is healthy after {time.monotonic() - since:.0f} s")

    def demo(self) -> None:
        say(self.engine.tools("python", "-c", "import tfx; print('TFX', tfx.__version__)").strip())
        self.engine.tools(_AIRFLOW, "-m", "scripts.stack.demo", show=True)

    def serve(self) -> None:
        """The model server has what serves, also after a rollback to what isn't the newest version."""
        newest, *earlier = self._versions()
        self._serves(newest)
        self.engine.tools("python", "-m", "ml", "release", "rollback", FIRST)
        self._serves(earlier[0])
        self.engine.tools("python", "-m", "ml", "release", "serve", FIRST, str(newest))
        self._serves(newest)

    def side_by_side(self) -> None:
        """Two pipelines train at the same time on three workers."""
        self.engine.up(workers=3)
        self.engine.tools("sh", "-c", _SECOND_PIPELINE)
        dags = [f"{pipeline}.training" for pipeline in (FIRST, SECOND)]
        self.airflow.wait_for_dags(*dags, timeout=300)
        self.airflow.unpause(*dags)
        for attempt in (1, 2, 3):
            more = {"settings": {"training.epochs": 20 + attempt}}  # than before: TFX's cache has the models of those
            runs = {dag: self.airflow.trigger(dag, more, run_id=f"side-by-side-{attempt}") for dag in dags}
            for dag, run_id in runs.items():
                self._ends_well(dag, run_id)
            one, other = (self._task(dag, run_id, "Trainer") for dag, run_id in runs.items())
            at_once = one["start_date"] < other["end_date"] and other["start_date"] < one["end_date"]
            hosts = {dag: self._hosts(dag, run_id) for dag, run_id in runs.items()}
            for dag, used in hosts.items():
                say(f"{dag}: tasks on the workers {', '.join(sorted(used))}")
            say(
                f"Trainers on {one['hostname']} and {other['hostname']}, {'at the same time' if at_once else 'in turn'}"
            )
            if at_once and one["hostname"] != other["hostname"]:
                return
        raise BrokenPromiseError("the two pipelines never trained at the same time on two workers")

    def kill(self) -> None:
        """A worker's container is killed while it trains."""
        dag = f"{FIRST}.training"
        run_id = self.airflow.trigger(dag, {"settings": {"training.epochs": 60}}, run_id="killed")
        trainer = self._running(dag, run_id, "Trainer")
        time.sleep(5)
        self.engine.on_engine("kill", "--signal", "KILL", trainer["hostname"])
        say(f"kill -9 of worker {trainer['hostname']}, 5 s into Trainer")
        self._ends_well(dag, run_id)
        again = self._task(dag, run_id, "Trainer")
        say(f"Trainer succeeded in try {again['try_number']}, on worker {again['hostname']}")
        if again["hostname"] == trainer["hostname"]:
            raise BrokenPromiseError("the Trainer was not killed with its worker")
        self._audit(self.engine)

    def drain(self) -> None:
        """A worker that is stopped finishes its task first."""
        dag = f"{SECOND}.training"
        run_id = self.airflow.trigger(dag, {"settings": {"training.epochs": 40}}, run_id="drained")
        trainer = self._running(dag, run_id, "Trainer")
        since = time.monotonic()
        self.engine.on_engine("stop", "--time", "600", trainer["hostname"])
        done = self._task(dag, run_id, "Trainer")
        say(
            f"stopping worker {trainer['hostname']} took {time.monotonic() - since:.0f} s; its Trainer: {done['state']}"
        )
        self._ends_well(dag, run_id)
        if self._task(dag, run_id, "Trainer")["try_number"] != 1:
            raise BrokenPromiseError("the Trainer of a worker that was stopped had to be repeated")

    def down_and_up(self) -> None:
        before = self._memory(self.engine, self.airflow)
        self.engine.on_compose("down")
        self.engine.up(workers=3)
        self._same(before, self._memory(self.engine, self.airflow), "down")
        self._audit(self.engine)

    def restore(self) -> None:
        """Backups of databases and storage bring up the same Respan elsewhere."""
        before = self._memory(self.engine, self.airflow)
        ports = {name: port + 10 for name, port in self.ports.items()}
        copy = self.engine.copy(_COPY, **{name: str(port) for name, port in ports.items()})
        with tempfile.TemporaryDirectory() as folder:
            databases, storage = Path(folder, "databases.sql"), Path(folder, "storage.tar")
            self.engine.postgres(*DUMP, into=databases)
            self.engine.tools(*PACK, into=storage)
            say(f"backups: {databases.stat().st_size / 1e6:.1f} MB and {storage.stat().st_size / 1e6:.1f} MB")
            self.engine.on_compose("stop")
            try:
                copy.up("postgres")
                copy.postgres(*LOAD, given=databases)
                copy.tools(*UNPACK, given=storage)
                copy.up()
                self._same(before, self._memory(copy, self._airflow(ports["RESPAN_PORT"])), "the backup")
                self._audit(copy)
            finally:
                copy.on_compose("down", "--volumes")
                self.engine.up(workers=3)

    def _same(self, before: Mapping[str, int], after: Mapping[str, int], event: str) -> None:
        say(", ".join(f"{what}: {count}" for what, count in after.items()))
        if before != after:
            raise BrokenPromiseError(f"before {event} there was {before}")

    def _memory(self, engine: Engine, airflow: AirflowRuns) -> dict[str, int]:
        """How much of each kind of state there is."""
        query = ("--command", "SELECT count(*) FROM Execution")
        rows = engine.postgres(*_PSQL, "--tuples-only", "--no-align", "--dbname", f"respan_{FIRST}", *query)
        return {
            "training runs": len(airflow.run_ids(f"{FIRST}.training")),
            "releases": len(self._releases(engine)["releases"]),
            "executions in ML Metadata": int(rows.splitlines()[-1]),
        }

    def _releases(self, engine: Engine) -> dict[str, Any]:
        listed: dict[str, Any] = json.loads(engine.tools("python", "-m", "ml", "release", "list", FIRST, "--json"))
        return listed

    def _versions(self) -> list[int]:
        """The released ones, the newest first."""
        return sorted((each["version"] for each in self._releases(self.engine)["releases"]), reverse=True)

    def _serves(self, version: int) -> None:
        url = f"http://127.0.0.1:{self.ports['RESPAN_MODEL_PORT']}/v1/models/{FIRST}"

        def loaded() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=10) as response:
                    found = json.load(response)["model_version_status"]
            except OSError:  # as before the first release
                return False
            return [int(each["version"]) for each in found if each["state"] == "AVAILABLE"] == [version]

        since = time.monotonic()
        self.airflow.until(loaded, 120, f"the model server doesn't serve version {version} alone")
        say(f"the model server serves version {version} after {time.monotonic() - since:.0f} s")

    def _audit(self, engine: Engine) -> None:
        told = json.loads(engine.tools("python", "-m", "ml", "audit", FIRST, "--json"))
        say(f"audit: {told['collected']} samples collected, {told['lost']} lost, {told['duplicated']} duplicated")
        if told["lost"] or told["duplicated"]:
            raise BrokenPromiseError("the audit does not balance")

    def _ends_well(self, dag: str, run_id: str) -> None:
        state = self.airflow.wait(dag, run_id, timeout=_PATIENCE)
        say(f"{dag} {run_id}: {state}")
        if state != "success":
            raise BrokenPromiseError(f"{dag} {run_id} ended as {state}: {self.airflow.task_states(dag, run_id)}")

    def _running(self, dag: str, run_id: str, task: str) -> dict[str, Any]:
        self.airflow.until(
            lambda: self._task(dag, run_id, task)["state"] == "running", _PATIENCE, f"{task} has not started"
        )
        return self._task(dag, run_id, task)

    def _task(self, dag: str, run_id: str, name: str) -> dict[str, Any]:
        found = self.airflow.task_instances(dag, run_id)
        return next(each for each in found if each["task_id"].rsplit(".", 1)[-1] == name)

    def _hosts(self, dag: str, run_id: str) -> set[str]:
        return {each["hostname"] for each in self.airflow.task_instances(dag, run_id) if each["hostname"]}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts.stack.check", description="Checks a new stack, end to end.")
    parser.add_argument("--compose", default="docker compose", help="the command of compose (default: %(default)s)")
    parser.add_argument("--engine", default="docker", help="the command of the engine (default: %(default)s)")
    parser.add_argument("steps", nargs="*", help="only these steps, by name (default: all)")
    chosen = parser.parse_args(arguments)
    check = Check(
        Engine(shlex.split(chosen.compose), shlex.split(chosen.engine)), values((PROJECT / ".env").read_text("utf-8"))
    )
    every: Mapping[str, Callable[[], None]] = {
        "build": check.build,
        "start": check.start,
        "demo": check.demo,
        "serve": check.serve,
        "side-by-side": check.side_by_side,
        "kill": check.kill,
        "drain": check.drain,
        "down-and-up": check.down_and_up,
        "restore": check.restore,
    }
    wanted = chosen.steps or list(every)
    if unknown := set(wanted) - set(every):
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are: {', '.join(every)}")
    for name in wanted:
        say(f"\n== {name}")
        try:
            every[name]()
        except (BrokenPromiseError, LocalAirflowError) as broken:
            say(f"BROKEN: {broken}")
            return 1
    say("\nevery promise was kept")
    return 0


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
