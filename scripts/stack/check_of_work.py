"""The checks of the stack's work: the demo, two pipelines at once, and workers that are killed or stopped."""

from __future__ import annotations

import time

from scripts.stack.checked_stack import FIRST, SECOND, CheckedStack, say
from scripts.stack.engine import BrokenPromiseError

_AIRFLOW = "/opt/envs/airflow/bin/python"

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


def demo(stack: CheckedStack) -> None:
    say(stack.engine.tools("python", "-c", "import tfx; print('TFX', tfx.__version__)").strip())
    stack.engine.tools(_AIRFLOW, "-m", "scripts.stack.demo", show=True)


def side_by_side(stack: CheckedStack) -> None:
    """Two pipelines train at the same time on three workers."""
    stack.engine.up(workers=3)
    stack.engine.tools("sh", "-c", _SECOND_PIPELINE)
    dags = [f"{pipeline}.training" for pipeline in (FIRST, SECOND)]
    stack.airflow.wait_for_dags(*dags, timeout=300)
    stack.airflow.unpause(*dags)
    for attempt in (1, 2, 3):
        run_id = f"side-by-side-{attempt}"
        for pipeline in (FIRST, SECOND):
            stack.train(pipeline, run_id, epochs=20 + attempt)
        for dag in dags:
            stack.ends_well(dag, run_id)
            say(f"{dag}: tasks on the workers {', '.join(sorted(stack.hosts(dag, run_id)))}")
        one, other = (stack.task(dag, run_id, "Trainer") for dag in dags)
        at_once = one["start_date"] < other["end_date"] and other["start_date"] < one["end_date"]
        say(f"Trainers on {one['hostname']} and {other['hostname']}, {'at the same time' if at_once else 'in turn'}")
        if at_once and one["hostname"] != other["hostname"]:
            return
    raise BrokenPromiseError("the two pipelines never trained at the same time on two workers")


def kill(stack: CheckedStack) -> None:
    """A worker's container is killed while it trains."""
    run_id = "killed"
    dag = stack.train(FIRST, run_id, epochs=60)
    trainer = stack.running(dag, run_id, "Trainer")
    time.sleep(5)
    stack.engine.on_engine("kill", "--signal", "KILL", trainer["hostname"])
    say(f"kill -9 of worker {trainer['hostname']}, 5 s into Trainer")
    stack.ends_well(dag, run_id)
    again = stack.task(dag, run_id, "Trainer")
    say(f"Trainer succeeded in try {again['try_number']}, on worker {again['hostname']}")
    if again["hostname"] == trainer["hostname"]:
        raise BrokenPromiseError("the Trainer was not killed with its worker")
    stack.audit()


def drain(stack: CheckedStack) -> None:
    """A worker that is stopped finishes its task first."""
    run_id = "drained"
    dag = stack.train(SECOND, run_id, epochs=40)
    trainer = stack.running(dag, run_id, "Trainer")
    since = time.monotonic()
    stack.engine.on_engine("stop", "--time", "600", trainer["hostname"])
    done = stack.task(dag, run_id, "Trainer")
    say(f"stopping worker {trainer['hostname']} took {time.monotonic() - since:.0f} s; its Trainer: {done['state']}")
    stack.ends_well(dag, run_id)
    if stack.task(dag, run_id, "Trainer")["try_number"] != 1:
        raise BrokenPromiseError("the Trainer of a worker that was stopped had to be repeated")
