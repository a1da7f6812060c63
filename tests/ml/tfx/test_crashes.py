"""Nodes that are killed, and nodes that run at the same time: the state afterwards is as if nothing had happened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tfx.orchestration.portable import execution_publish_utils
from tfx.orchestration.portable.mlmd import context_lib

from ml.home import PROJECT, pipeline_storage
from ml.kinds.image_classification.kind import KIND
from ml.runs import read_run
from ml.settings import load_settings
from ml.tfx.metadata import LockedMetadata, run_outputs
from ml.tfx.metadata_places import metadata_place
from ml.tfx.node import LocalRun
from tests.ml.tfx.digits_pipeline import PIPELINE, prepare, write_digits_span

pytestmark = pytest.mark.slow

_RUN_CHEAP_NODES = """
import sys
from ml.logs import quiet
quiet()
from tests.ml.tfx.digits_pipeline import prepare
for run_id in sys.argv[1:]:
    run = prepare(run_id, [1])
    for node in ("ImportExampleGen", "ImportSchemaGen", "Champion"):
        assert run.run_node(node).execution > 0
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def _states(home: Path) -> list[tuple[str, str]]:
    """(component type, state) of every execution in the store."""
    with LockedMetadata(metadata_place(PIPELINE)) as handle:
        types = {kind.id: kind.name.rsplit(".", 1)[-1] for kind in handle.store.get_execution_types()}
        found = handle.store.get_executions()
    return sorted((types[one.type_id], one.State.Name(one.last_known_state)) for one in found)


def test_a_trainer_that_is_killed_is_taken_up_by_its_retry(trained: Path) -> None:
    run = prepare("killed", [1], training__epochs="40")
    for node in run.nodes[: run.nodes.index("Trainer")]:
        run.run_node(node)
    process = subprocess.Popen(
        [sys.executable, "-m", "ml", "run-node", PIPELINE, "--node", "Trainer", "--run-id", "killed"],
        env=_environment(),
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        reached = any(line.startswith("epoch 2 ") for line in process.stderr)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert reached
    assert ("Trainer", "RUNNING") in _states(trained)

    assert run.run_node("Trainer").state == "succeeded"
    assert ("Trainer", "RUNNING") not in _states(trained)
    outputs = run_outputs(run.metadata, read_run(pipeline_storage(PIPELINE), "killed").run)
    model = f"{outputs['Trainer']['model']}/Format-Serving"
    examples = f"{outputs['ImportExampleGen']['examples']}/Split-eval"
    accepted = KIND.accept(load_settings(PIPELINE), model, examples, 40)
    assert sum(accepted.predicted.values()) == 40


def test_what_a_killed_attempt_wrote_does_not_reach_the_next_component(respan_home: Path) -> None:
    write_digits_span(1, 0, 40)
    run = prepare("run", [1])
    generated = _interrupted_example_gen(run)
    (generated / "Split-train").mkdir(parents=True)
    (generated / "Split-train" / "half-written").write_bytes(b"not a TFRecord")
    assert run.run_node("ImportExampleGen").state == "succeeded"
    assert [file.name for file in (generated / "Split-train").iterdir()] == ["data_tfrecord-00000-of-00001.gz"]


@pytest.mark.usefixtures("either_metadata")
def test_processes_that_share_the_metadata_store_all_succeed(respan_home: Path) -> None:
    write_digits_span(1, 0, 40)
    groups = [[f"run {process} {number}" for number in range(4)] for process in range(3)]
    processes = [
        subprocess.Popen([sys.executable, "-c", _RUN_CHEAP_NODES, *runs], env=_environment(), cwd=PROJECT)
        for runs in groups
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    states = _states(respan_home)
    assert len(states) == 3 * 4 * 3
    assert {state for _, state in states} <= {"COMPLETE", "CACHED"}


def _interrupted_example_gen(run: LocalRun) -> Path:
    """Leaves the node as a kill does, RUNNING in the store, and returns the folder that it was writing to."""
    [node] = [n.pipeline_node for n in run.compiled.nodes if n.pipeline_node.node_info.id == "ImportExampleGen"]
    with run.metadata as handle:
        contexts = context_lib.prepare_contexts(handle, node.contexts)
        execution = execution_publish_utils.register_execution(handle, node.node_info.type, contexts)
    return Path(
        run.compiled.runtime_spec.pipeline_root.field_value.string_value,
        "ImportExampleGen",
        "examples",
        str(execution.id),
    )
