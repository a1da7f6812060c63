"""``make demo``: a deployed model meets data that it can't handle, and mends itself.

In a real Airflow of its own, below ``$RESPAN_HOME/demo``, begun anew each time. The demo itself only does what a
collector of samples would (it drops files into the inbox) and looks on; everything else is done by the DAGs.

Exit code: 0 when every promise of :mod:`scripts.demo_summary` was kept, 1 when one was broken or a step failed, 130
after Ctrl-C. The result is ``$RESPAN_HOME/demo/summary.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml import releases, windows
from ml.errors import DataError
from ml.home import home
from ml.settings import load_settings
from scripts.demo_deployment import DEFAULT_SEED, DemoDeployment, Deployment, collect, play
from scripts.demo_stories import CLASSIFICATION, STORIES, Story, story_of
from scripts.demo_summary import AuditCount, ScoredRelease, Summary, broken_promises
from scripts.demo_target import TARGETS, demo_target
from scripts.demo_timeline import DemoError, Timeline, Watcher
from scripts.model_side import tfx_python

_PATIENCE_SECONDS = 900.0


class Demo:
    """One run of the demo, stage by stage, in a Respan that has seen no sample of ``pipeline`` yet."""

    def __init__(self, deployment: Deployment, story: Story, timeline: Timeline) -> None:
        self.story, self.pipeline, self.timeline, self.deployment = story, story.pipeline, timeline, deployment
        self.folder, self.airflow, self.model_side = deployment.folder, deployment.airflow, deployment.model_side
        self.storage = deployment.storage(self.pipeline)
        self.evaluation, self.retraining, self.training = (
            f"{self.pipeline}.{stage}" for stage in ("evaluation", "retraining", "training")
        )
        self.watcher = Watcher(self.airflow, [self.evaluation, self.retraining, self.training], timeline)
        self.seconds: dict[str, float] = {}
        self.metric = ""
        self.collected = 0
        self.reports: list[str] = []

    def run(self) -> Summary:
        """All stages. Raises ``DemoError``, or an error of Airflow's or the model's side, where one can't be done."""
        self._begin()
        self._collect("first", "the old camera")
        self.airflow.unpause(self.training, self.retraining, self.evaluation)
        self._await_release(1)
        self._ends("first_release")
        first = self._score()

        self._collect("shifted", "a new camera")
        self._await_release(2)
        [evaluated] = self._evaluations()[-1:]
        self._ends("second_release")
        second = self._score()

        self._collect("fresh", "the new camera, not seen before")
        before = len(self.watcher.succeeded(self.evaluation))
        self.watcher.until(
            lambda: len(self.watcher.succeeded(self.evaluation)) > before,
            what="the evaluation of the fresh batch",
            timeout=_PATIENCE_SECONDS,
        )
        [evaluated_again] = self._evaluations()[-1:]
        self.reports = [evaluated["report"], evaluated_again["report"]]
        self.timeline.line(
            f"verdict {evaluated_again['verdict']}: {evaluated_again['metric']} {evaluated_again['value']:.3f}"
        )
        self._ends("fresh_batch")

        self.timeline.headline("Where is each sample now? `python -m ml audit`, from storage alone")
        audit = self.model_side.json("audit", self.pipeline, accepted=(0, DataError.exit_code))
        self.timeline.line(", ".join(f"{count} {place}" for place, count in audit.items() if isinstance(count, int)))
        self._ends("audit")
        return Summary(
            metric=self.metric,
            threshold=load_settings(self.pipeline).evaluation.threshold,
            first_release=first,
            verdict=evaluated["verdict"],
            second_release=second,
            verdict_after=evaluated_again["verdict"],
            spans=windows.complete_spans(self.storage),
            audit=AuditCount(audit["collected"], audit["lost"], audit["duplicated"]),
            seconds={**self.seconds, "total": round(self.timeline.seconds(), 1)},
        )

    def stop(self) -> None:
        self.deployment.stop()

    def _begin(self) -> None:
        place = self.deployment.place
        self.timeline.headline(f"Respan in {place} starts; {self.story.things} are drawn with two cameras")
        self.deployment.install(self.pipeline)
        self.deployment.start(self.story.data, self.evaluation, self.retraining, self.training)
        self._ends("start")

    def _collect(self, name: str, source: str) -> None:
        self.timeline.headline(f"Images of {source} arrive in the inbox")
        count = collect(self.deployment, self.pipeline, name)
        self.timeline.line(f"{count} samples")
        self.collected += count

    def _await_release(self, count: int) -> None:
        self.watcher.until(
            lambda: len(self.watcher.succeeded(self.retraining)) >= count,
            what=f"release {count}",
            timeout=_PATIENCE_SECONDS,
        )

    def _evaluations(self) -> list[dict[str, Any]]:
        """What the `evaluate` tasks of the finished evaluations returned, in order."""
        found = (
            self.airflow.result(self.evaluation, run, "evaluate") for run in self.watcher.succeeded(self.evaluation)
        )
        return [result for result in found if result]

    def _score(self) -> ScoredRelease:
        serving = releases.serving(self.storage)
        if serving is None:
            raise DemoError(f"nothing is released: see {self.storage.uri('releases')}")
        self.timeline.headline(f"Scoring release {serving.version} on {self.story.things} that no training saw")
        values = []
        for camera, folder in (("the old camera", "plain"), ("the new camera", "shifted")):
            data = self.folder / "data" / "holdout" / folder
            score = self.model_side.json("score", self.pipeline, str(data), "--version", str(serving.version))
            self.metric = score["metric"]
            self.timeline.line(f"through {camera}: {self.metric} {score['value']:.3f} of {score['samples']} samples")
            values.append(score["value"])
        return ScoredRelease(serving.version, *values)

    def _ends(self, stage: str) -> None:
        self.seconds[stage] = round(self.timeline.seconds() - sum(self.seconds.values()), 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make demo", description="A deployed model fails on new data and mends itself."
    )
    parser.add_argument(
        "--pipeline",
        default=os.environ.get("PIPELINE") or CLASSIFICATION.pipeline,
        help=f"whose life is played: {', '.join(STORIES)} (default: %(default)s)",
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default=os.environ.get("TARGET") or TARGETS[0],
        help="where the pipeline runs; vertex: on a Google Cloud of the demo's own, on loopback (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="of the pictures that are drawn (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    timeline = Timeline()
    folder = home() / "demo"
    try:
        story = story_of(chosen.pipeline)
        with demo_target(chosen.target, home() / "demo-cloud", tfx_python(home())) as target:
            deployment = DemoDeployment(folder, timeline, target, seed=chosen.seed)
            return _play(Demo(deployment, story, timeline), folder, timeline)
    except DemoError as error:
        timeline.plain(f"\nThe demo failed. {error}")
        return 1


def _play(demo: Demo, folder: Path, timeline: Timeline) -> int:
    summary = play(demo, timeline)
    if isinstance(summary, int):
        return summary
    file = folder / "summary.json"
    file.write_text(json.dumps(summary.document(), indent=1) + "\n", "utf-8")
    kept = judge(summary, demo)
    timeline.plain(f"\n  summary   {file}")
    timeline.plain(f'  Airflow\'s UI on this state:   make airflow ARGS="--home {folder}"\n')
    return 0 if kept else 1


def judge(summary: Summary, demo: Demo) -> bool:
    """Tells people what came of ``demo``, and whether all that it promises was kept."""
    _tell(summary, demo)
    broken = broken_promises(summary, demo.story, samples=demo.collected)
    for promise in broken:
        demo.timeline.plain(f"BROKEN: {promise}")
    return not broken


def _tell(summary: Summary, demo: Demo) -> None:
    timeline = demo.timeline
    timeline.plain(
        f"\n                 {summary.metric} on held-out {demo.story.things}\n                 old camera   new camera"
    )
    for release in (summary.first_release, summary.second_release):
        timeline.plain(f"  release {release.version:<6} {release.plain:>10.3f} {release.shifted:>12.3f}")
    timeline.plain(
        f"\n  verdict on the new camera   {summary.verdict}, after retraining {summary.verdict_after}"
        f"\n  spans                       {summary.spans}"
        f"\n  samples                     {summary.audit.collected} collected, {summary.audit.lost} lost, "
        f"{summary.audit.duplicated} duplicated"
        f"\n  seconds                     {', '.join(f'{stage} {s:.0f}' for stage, s in summary.seconds.items())}\n"
    )
    for report in demo.reports:
        timeline.plain(f"  report    {report}")


if __name__ == "__main__":
    sys.exit(main())
