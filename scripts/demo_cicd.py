"""``make demo-cicd``: pushes to a git repository, and what becomes of each.

In a real Airflow of its own, below ``$RESPAN_HOME/demo-cicd``, begun anew each time. The demo itself only does what a
developer would: it pushes to a bare repository on this machine. Everything else is done by the ci_cd and training DAGs.

Exit code: 0 when every push ended as it should, 1 when one didn't or a step failed, 130 after Ctrl-C. The result is
``$RESPAN_HOME/demo-cicd/summary.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from ml import releases
from ml.home import home
from scripts.airflow_local import PROJECT
from scripts.code_repository import BRANCH, CodeRepository
from scripts.container_engine import container_engine
from scripts.demo_deployment import DemoDeployment, collect, play
from scripts.demo_stories import CLASSIFICATION
from scripts.demo_timeline import Timeline, Watcher

PIPELINE = "image_classification"
CI_CD, TRAINING = f"{PIPELINE}.ci_cd", f"{PIPELINE}.training"

_FOLDER = f"ml/pipelines/{PIPELINE}"
_PATIENCE_SECONDS = 600.0

_HEAD = "    dropped = keras.layers.Dropout(settings.dropout)(features.output)\n"
_HIDDEN = """\
    hidden = keras.layers.Dense(48, activation="relu")(features.output)
    dropped = keras.layers.Dropout(settings.dropout)(hidden)
"""


@dataclass(frozen=True)
class Change:
    """What a push became: its scope, the state of each task of its ci_cd run, and whether it led to a release."""

    change: str
    scope: str | None
    steps: Mapping[str, str | None]
    released: bool


@dataclass(frozen=True)
class Push:
    """A push of the demo, and what must come of it; ``edit`` is what it does to the file at ``path``."""

    told: str
    path: str
    edit: Callable[[str], str]
    scope: str
    released: bool
    succeeds: bool = True


PUSHES = (
    Push(
        "the model gets a hidden layer, and a slip of the hand breaks a test",
        f"{_FOLDER}/model.py",
        lambda code: code.replace(_HEAD, _HIDDEN).replace('activation="softmax"', 'activation="sigmoid"'),
        scope="modules",
        released=False,
        succeeds=False,
    ),
    Push(
        "the slip is mended",
        f"{_FOLDER}/model.py",
        lambda code: code.replace('activation="sigmoid"', 'activation="softmax"'),
        scope="modules",
        released=True,
    ),
    Push(
        "the README gets a line",
        "README.md",
        lambda text: f"{text}\nChanged by a demo.\n",
        scope="none",
        released=False,
    ),
    Push(
        "a DAG's description changes",
        "dags/settings_check.py",
        lambda code: code.replace('"""Shows pipelines', '"""Shows all pipelines'),
        scope="whole",
        released=True,
    ),
)


class CiCdDemo:
    """One run of the demo, in ``folder``."""

    def __init__(self, folder: Path, timeline: Timeline) -> None:
        self.folder, self.timeline = folder, timeline
        self.deployment = DemoDeployment(folder, timeline)
        self.storage = self.deployment.storage(PIPELINE)
        self.repository = CodeRepository(folder / "code")
        self.watcher = Watcher(self.deployment.airflow, [CI_CD, TRAINING], timeline)
        self.installed = ""

    def run(self) -> list[Change]:
        self.timeline.headline(f"Starting Airflow in {self.folder}; drawing digits; making a git remote")
        self.deployment.clear()
        self._make_code()
        self.deployment.start(CLASSIFICATION.data, CI_CD, TRAINING, meanwhile=self._begin)
        self.deployment.airflow.unpause(TRAINING)
        self.deployment.airflow.watch(CI_CD)
        return [self._push(push) for push in PUSHES]

    def stop(self) -> None:
        self.deployment.stop()

    def _make_code(self) -> None:
        """The remote, and the installed pipeline: the same, with the settings that connect the two."""
        builder = container_engine()
        image = {"builder": builder, "repository": "localhost/respan-demo", "push": False}
        file = PROJECT / _FOLDER / "settings.yaml"
        settings = yaml.safe_load(file.read_text("utf-8"))
        settings["training"]["epochs"] = 6  # enough for these pictures
        settings.setdefault("ci_cd", {}).update(
            remote=str(self.repository.remote), poll_seconds=1, **({"image": image} if builder != "none" else {})
        )
        written = yaml.safe_dump(settings, sort_keys=False)
        revision = self.repository.create(
            {f"{_FOLDER}/settings.yaml": written, "Dockerfile": "FROM scratch\nCOPY dags plugins ml /respan/\n"}
        )
        shutil.copytree(self.repository.work / _FOLDER, self.deployment.pipelines / PIPELINE)
        self.installed = revision
        self.timeline.line(f"remote {self.repository.remote}, at {revision[:12]}; images: {builder}")

    def _begin(self) -> None:
        """The first pictures become span 1, on which every training runs, and later revisions are compared with the
        installed one."""
        collect(self.deployment, PIPELINE, "first")
        model_side = self.deployment.model_side
        model_side.json("ci-cd", "mark-processed", PIPELINE, "--branch", BRANCH, "--revision", self.installed)
        batch = model_side.json("batch", "freeze", PIPELINE, "--run-id", "first")["batch"]
        span = model_side.json("span", "prepare", PIPELINE, batch)
        model_side.json("batch", "settle", PIPELINE, batch)
        self.timeline.line(f"span {span['span']}: {span['train']} digits to train on, {span['eval']} to evaluate")

    def _push(self, push: Push) -> Change:
        airflow = self.deployment.airflow
        self.timeline.headline(f"A push: {push.told} ({push.path})")
        known, before = airflow.run_ids(CI_CD), self._released()
        revision = self.repository.push(push.told, self.repository.edited(push.path, push.edit))
        self.timeline.line(f"revision {revision[:12]}")
        self.watcher.may_fail = () if push.succeeds else (CI_CD,)
        self.watcher.until(
            lambda: any(run_id not in known for run_id in self.watcher.ended(CI_CD)),
            what=f"the run for {revision[:12]}",
            timeout=_PATIENCE_SECONDS,
        )
        [run_id] = [run_id for run_id in self.watcher.ended(CI_CD) if run_id not in known]
        if not push.succeeds:
            self.timeline.line(f"stopped: {self._told_by(run_id)}")
        serving = self._released()
        if serving != before:
            record = releases.read_release(self.storage, serving)
            self.timeline.line(f"version {serving} serves, trained with revision {(record.revision or '')[:12]}")
        return Change(
            change=push.told,
            scope=airflow.xcom(CI_CD, run_id, "decide_scope", "scope"),
            steps=airflow.task_states(CI_CD, run_id),
            released=serving != before,
        )

    def _released(self) -> int:
        """The version that serves; 0 before the first."""
        serving = releases.serving(self.storage)
        return serving.version if serving else 0

    def _told_by(self, run_id: str) -> str:
        """The one line that the failed task ended with."""
        airflow = self.deployment.airflow
        [failed] = [task for task, state in airflow.task_states(CI_CD, run_id).items() if state == "failed"]
        lines = [line for line in airflow.task_log(CI_CD, run_id, failed).splitlines() if "error: " in line]
        return f"{failed}: {lines[-1].split('error: ', 1)[1]}" if lines else failed


def broken_promises(changes: Sequence[Change]) -> list[str]:
    """One line for each push that didn't end as it should."""
    broken = []
    for push, change in zip(PUSHES, changes, strict=True):
        if (change.scope, change.released) != (push.scope, push.released):
            broken.append(
                f"{push.told}: scope {change.scope}, released {change.released}; "
                f"not scope {push.scope}, released {push.released}"
            )
        failed = sorted(step for step, state in change.steps.items() if state == "failed")
        if failed != ([] if push.succeeds else ["verify.test"]):
            broken.append(f"{push.told}: failed at {', '.join(failed) or 'nothing'}")
    return broken


def main(arguments: Sequence[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="make demo-cicd", description="Pushes to a git repository, and what becomes of each."
    ).parse_args(arguments)
    timeline = Timeline()
    folder = home() / "demo-cicd"
    changes = play(CiCdDemo(folder, timeline), timeline)
    if isinstance(changes, int):
        return changes
    file = folder / "summary.json"
    file.write_text(json.dumps([asdict(change) for change in changes], indent=1) + "\n", "utf-8")
    timeline.plain(f"\n  {'change':<68} {'scope':<8} released")
    for change in changes:
        timeline.plain(f"  {change.change:<68} {change.scope or '':<8} {'yes' if change.released else 'no'}")
    timeline.plain(f"\n  seconds   {timeline.seconds():.0f}\n  summary   {file}")
    timeline.plain(f'  Airflow\'s UI on this state:   make airflow ARGS="--home {folder}"\n')
    broken = broken_promises(changes)
    for promise in broken:
        timeline.plain(f"BROKEN: {promise}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
