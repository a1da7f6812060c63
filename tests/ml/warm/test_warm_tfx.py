"""Work with TensorFlow, Beam and matplotlib in a child forked from a process that has imported them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.unit.warm.warm_project import Project, wait_until

pytestmark = pytest.mark.slow

WORK = '''

@probe.command()
@click.argument("folder", type=Path)
def work(folder: Path) -> None:
    """A training step, a saved model, a Beam pipeline and a chart, as the components do them."""
    import apache_beam as beam
    import tensorflow as tf
    from apache_beam.options.pipeline_options import PipelineOptions
    from matplotlib.figure import Figure

    folder.mkdir()
    model = tf.keras.Sequential([tf.keras.layers.Input((4,)), tf.keras.layers.Dense(1)])
    model.compile("adam", "mse")
    numbers = tf.data.Dataset.from_tensor_slices((tf.ones((64, 4)), tf.ones((64, 1))))
    model.fit(numbers.shuffle(64).map(lambda x, y: (x, y), num_parallel_calls=4).batch(8).prefetch(2), verbose=0)
    with beam.Pipeline(runner="DirectRunner", options=PipelineOptions(["--direct_running_mode=in_memory"])) as pipeline:
        pipeline | beam.Create([1, 2, 3]) | beam.CombineGlobally(sum) | beam.Map(
            lambda total: (folder / "total").write_text(str(total))
        )
    figure = Figure()
    figure.subplots().plot([1, 2, 3])
    figure.savefig(folder / "chart.png")
    click.echo((folder / "total").read_text())
'''


def test_everything_that_it_should_import_can_be_imported(tfx_project: Project) -> None:
    assert tfx_project.warm("probe", "version").returncode == 0
    log = (tfx_project.home / "logs" / "warm.log").read_text()
    assert "is not preloaded" not in log
    assert re.search(r"ready after .* and 1 thread\(s\)", log)


def test_two_commands_at_once_train_run_beam_and_draw(tfx_project: Project, tmp_path: Path) -> None:
    probe = tfx_project.folder / "ml" / "commands" / "probe.py"
    if "def work" not in probe.read_text():
        probe.write_text(probe.read_text() + WORK)
    clients = [tfx_project.start("probe", "work", str(tmp_path / name)) for name in ("one", "other")]
    for process in clients:
        out, error = process.communicate(timeout=300)
        assert (process.returncode, out) == (0, "6\n"), error
    assert (tmp_path / "one" / "chart.png").stat().st_size > 1000


def test_its_death_leaves_no_process_of_a_command(tfx_project: Project) -> None:
    process = tfx_project.start("probe", "sleep", "tfx-ids.json")
    ids = tfx_project.sleeping("tfx-ids.json")
    [server] = tfx_project.servers()
    os.kill(server, 9)
    assert process.wait(60) in (71, 128 + 9)
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in ids.values()), "the command's end")
