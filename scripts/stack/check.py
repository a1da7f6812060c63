"""``python3 -m scripts.stack.check``: does with a new stack all that docs/stack.md promises, and prints what it saw.

Needs a container engine, an ``.env``, and a stack that has seen no sample yet; ends with the stack running, with three
workers. Exit code: 0 when every promise was kept, 1 when one was broken. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.airflow_api import AirflowApi
from scripts.airflow_runs import AirflowRuns, LocalAirflowError
from scripts.stack.env_file import PROJECT, values

FIRST, SECOND = "image_classification", "second"
_AIRFLOW = "/opt/envs/airflow/bin/python"
_PATIENCE = 1200.0

#: Makes the second pipeline, with a first span of pictures, as a person would with the commands in the README.
_SECOND_PIPELINE = f"""set -e
cp -r /opt/respan/ml/pipelines/{FIRST} /var/lib/pipelines/{SECOND}
python -m scripts.demo_data /tmp/pictures
mkdir -p /var/lib/storage/{SECOND}/inbox
cp -r /tmp/pictures/first/. /var/lib/storage/{SECOND}/inbox/
python -m ml batch freeze {SECOND} --run-id first
python -m ml span prepare {SECOND} first
python -m ml batch settle {SECOND} first
"""


class BrokenPromiseError(Exception):
    """What the stack should have done and didn't; one line."""


@dataclass(frozen=True)
class Engine:
    """How the stack is spoken to: ``compose`` and ``engine`` are commands with their first arguments."""

    compose: Sequence[str]
    engine: Sequence[str]

    def up(self, workers: int = 1) -> None:
        """Returns when every service is healthy."""
        run([*self.compose, "up", "--detach", "--wait", "--scale", f"worker={workers}"])

    def tools(self, *command: str, show: bool = False) -> str:
        """What ``command`` prints in the service ``tools``; ``show`` lets it print by itself."""
        return run([*self.compose, "--profile", "tools", "run", "--rm", "-T", "tools", *command], show=show)

    def kill(self, container: str) -> None:
        run([*self.engine, "kill", "--signal", "KILL", container])


class Admin:
    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.name, self.password = secrets.get("AIRFLOW_ADMIN_USER") or "admin", secrets["AIRFLOW_ADMIN_PASSWORD"]


class Check:
    """The steps, in order; each raises ``BrokenPromiseError`` or what the engine's command said."""

    def __init__(self, engine: Engine, secrets: Mapping[str, str]) -> None:
        self.engine = engine
        port = secrets.get("RESPAN_PORT") or "8080"
        self.airflow = AirflowRuns(
            AirflowApi(f"http://127.0.0.1:{port}", Admin(secrets)), Path("/var/lib/airflow/logs")
        )

    def start(self) -> None:
        since = time.monotonic()
        self.engine.up()
        say(f"every service is healthy after {time.monotonic() - since:.0f} s")

    def demo(self) -> None:
        say(self.engine.tools("python", "-c", "import tfx; print('TFX', tfx.__version__)").strip())
        self.engine.tools(_AIRFLOW, "-m", "scripts.stack.demo", show=True)

    def side_by_side(self) -> None:
        """Two pipelines train at the same time on three workers."""
        self.engine.up(workers=3)
        self.engine.tools("sh", "-c", _SECOND_PIPELINE)
        dags = [f"{pipeline}.training" for pipeline in (FIRST, SECOND)]
        self.airflow.wait_for_dags(*dags, timeout=300)
        self.airflow.unpause(*dags)
        for attempt in (1, 2, 3):
            runs = {dag: self.airflow.trigger(dag, run_id=f"side-by-side-{attempt}") for dag in dags}
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
        self.engine.kill(trainer["hostname"])
        say(f"kill -9 of worker {trainer['hostname']}, 5 s into Trainer")
        self._ends_well(dag, run_id)
        again = self._task(dag, run_id, "Trainer")
        say(f"Trainer succeeded in try {again['try_number']}, on worker {again['hostname']}")
        if again["hostname"] == trainer["hostname"]:
            raise BrokenPromiseError("the Trainer was not killed with its worker")
        self._audit()

    def drain(self) -> None:
        """A worker that is stopped finishes its task first."""
        dag = f"{SECOND}.training"
        run_id = self.airflow.trigger(dag, {"settings": {"training.epochs": 40}}, run_id="drained")
        trainer = self._running(dag, run_id, "Trainer")
        since = time.monotonic()
        run([*self.engine.engine, "stop", "--time", "600", trainer["hostname"]])
        done = self._task(dag, run_id, "Trainer")
        say(
            f"stopping worker {trainer['hostname']} took {time.monotonic() - since:.0f} s; its Trainer: {done['state']}"
        )
        self._ends_well(dag, run_id)
        if self._task(dag, run_id, "Trainer")["try_number"] != 1:
            raise BrokenPromiseError("the Trainer of a worker that was stopped had to be repeated")

    def down_and_up(self) -> None:
        before = self._memory()
        run([*self.engine.compose, "down"])
        self.engine.up(workers=3)
        after = self._memory()
        say(", ".join(f"{what}: {count}" for what, count in after.items()))
        if before != after:
            raise BrokenPromiseError(f"before `down` there was {before}")
        self._audit()

    def _memory(self) -> dict[str, int]:
        """How much of each kind of state there is."""
        listed = json.loads(self.engine.tools("python", "-m", "ml", "release", "list", FIRST, "--json"))
        query = "SELECT count(*) FROM Execution"
        psql = ["psql", "--username", "postgres", "--tuples-only", "--no-align", "--dbname", f"respan_{FIRST}"]
        rows = run([*self.engine.compose, "exec", "-T", "postgres", *psql, "--command", query])
        return {
            "training runs": len(self.airflow.run_ids(f"{FIRST}.training")),
            "releases": len(listed["releases"]),
            "executions in ML Metadata": int(rows.strip().splitlines()[-1]),
        }

    def _audit(self) -> None:
        told = json.loads(self.engine.tools("python", "-m", "ml", "audit", FIRST, "--json"))
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


def run(command: Sequence[str], *, show: bool = False) -> str:
    """Raises ``BrokenPromiseError`` with the last words of a command that fails."""
    output = None if show else subprocess.PIPE
    done = subprocess.run(command, cwd=PROJECT, stdout=output, stderr=output, text=True, check=False)
    if done.returncode:
        words = ((done.stderr or "").strip() or (done.stdout or "").strip() or "see above").splitlines()
        raise BrokenPromiseError(f"{shlex.join(command[:6])} … ended with {done.returncode}: {words[-1]}")
    return done.stdout or ""


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
        "start": check.start,
        "demo": check.demo,
        "side-by-side": check.side_by_side,
        "kill": check.kill,
        "drain": check.drain,
        "down-and-up": check.down_and_up,
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
