"""What the demos have in common: a Respan of their own below ``$RESPAN_HOME``, and how they end."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeVar

from ml.errors import RespanError
from ml.home import home
from ml.kinds import kind_of
from ml.kinds.kind import Part
from ml.layout import inbox
from ml.parallel import map_ahead
from ml.settings import load_settings
from ml.storage import Storage, open_storage
from scripts.airflow_api import ApiError
from scripts.airflow_local import LocalAirflow, LocalAirflowError
from scripts.airflow_runs import AirflowRuns
from scripts.demo_target import DemoTarget
from scripts.demo_timeline import DemoError, Timeline
from scripts.model_side import ModelSide, tfx_python

#: Of the pictures whose figures the documentation shows.
DEFAULT_SEED = 20

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)


class Demo(Protocol[Result]):
    """``run`` plays the story and returns what came of it; ``stop`` ends all that it started."""

    def run(self) -> Result: ...

    def stop(self) -> None: ...


class Deployment(Protocol):
    """A Respan that a demo is played in. ``folder`` is the demo's own; its pictures are in ``folder/data``."""

    folder: Path
    model_side: ModelSide

    @property
    def airflow(self) -> AirflowRuns: ...

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def storage(self, pipeline: str) -> Storage: ...

    def install(self, pipeline: str) -> None:
        """Makes room for the story, and puts ``pipeline`` there as the story wants it."""

    def start(self, data: str, *dag_ids: str) -> None:
        """Has the module ``data`` draw its pictures, and returns when Airflow runs and knows ``dag_ids``."""

    def stop(self) -> None: ...


def collect(deployment: Deployment, pipeline: str, name: str) -> int:
    """The files of set ``name`` appear in the inbox as a collector's would: each at once, complete, under its final
    name. How many samples they are."""
    storage, kind = deployment.storage(pipeline), kind_of(load_settings(pipeline))
    folder = deployment.folder / "data" / name
    names = sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.png"))
    for _ in map_ahead(lambda name: storage.upload(folder / name, inbox(name)), names):
        pass
    return len({part.sample for part in map(kind.part_of, names) if isinstance(part, Part)})


class DemoDeployment:
    """An Airflow, its storage and the model's side in ``folder``, which is begun anew each time.

    Pipelines in ``folder/pipelines``, where there are any, come before the installed ones.

    :param target: where the pipelines run.
    :param seed: of the pictures; the same gives the same ones.
    """

    def __init__(
        self, folder: Path, timeline: Timeline, target: DemoTarget | None = None, *, seed: int = DEFAULT_SEED
    ) -> None:
        self.folder, self.timeline, self.seed = folder, timeline, seed
        self.target = target or DemoTarget()
        self.pipelines = folder / "pipelines"
        python = tfx_python(home())
        self.airflow = LocalAirflow(
            folder,
            storage=self.target.storage,
            pipelines=str(self.pipelines),
            environment={**self.target.environment, "RESPAN_TFX_PYTHON": str(python)},
        )
        self.model_side = ModelSide(python, {**self.airflow.environment, **self.target.machine})

    def storage(self, pipeline: str) -> Storage:
        return open_storage(self.airflow.environment["RESPAN_STORAGE"]).child(pipeline)

    @property
    def place(self) -> str:
        return str(self.folder)

    def install(self, pipeline: str) -> None:
        self.clear()
        self.target.install(pipeline, self.pipelines)

    def clear(self) -> None:
        """Removes what an earlier demo left, also one that was killed."""
        self.model_side.cool_down()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def start(self, data: str, *dag_ids: str, meanwhile: Callable[[], None] | None = None) -> None:
        """Has the module ``data`` draw its pictures into ``folder/data``, and returns when Airflow runs and knows
        ``dag_ids``. ``meanwhile`` is done once the pictures are there."""
        drawing = self.model_side.start(data, str(self.folder / "data"), f"--seed={self.seed}")
        self.model_side.warm_up()
        self.airflow.start()
        _output, error = drawing.communicate()
        if drawing.returncode:
            raise DemoError(f"the pictures can't be drawn: {error.decode('utf-8', 'replace').strip()[-500:]}")
        if meanwhile:
            meanwhile()
        self.airflow.wait_for_dags(*dag_ids)
        self.timeline.line(f"Airflow is at {self.airflow.url} (user admin, password {self.airflow.api.user.password})")

    def stop(self) -> None:
        """Ends Airflow and the warm process."""
        self.airflow.stop()
        self.model_side.cool_down()


def play(demo: Demo[T], timeline: Timeline) -> T | int:
    """Runs the demo and stops it, however it ends: its result, or an exit code (1: failed, 130: Ctrl-C)."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        try:
            return demo.run()
        finally:
            timeline.headline("Stopping")
            demo.stop()
    except KeyboardInterrupt:
        timeline.plain("interrupted; nothing is left running")
        return 130
    except (DemoError, LocalAirflowError, ApiError, RespanError) as error:
        timeline.plain(f"\nThe demo failed. {error}")
        return 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
