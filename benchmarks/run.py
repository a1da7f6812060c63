"""``make bench``: runs the benchmarks, prints one table, writes ``results.json`` beside this file.

``make bench ARGS="spans sensor"`` runs some; the others' earlier results stay in the file. Exit code: 0 when every
benchmark that ran kept its bounds, else 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.result import Result
from ml.home import PROJECT, home
from ml.warm.environment import command_environment
from scripts.model_side import tfx_python

RESULTS = Path(__file__).with_name("results.json")
_LONGEST_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module of this package with ``measure() -> Iterator[Result]``, and the environment that it runs in."""

    module: str
    environment: str
    measures: str


BENCHMARKS = (
    Benchmark("dags", "airflow", "importing all of dags/, against importing airflow.sdk"),
    Benchmark("sensor", "airflow", "what the sensor lists of a million objects"),
    Benchmark("spans", "tfx", "span preparation, against reading and writing one by one"),
    Benchmark("prediction", "tfx", "batch prediction, against model.predict on decoded arrays"),
    Benchmark("evaluation", "tfx", "evaluation of a million predictions, against a json.loads loop"),
    Benchmark("decisions", "tfx", "how often gate, verdicts and drift are wrong, against the rates that are promised"),
    Benchmark("training", "airflow", "the training DAG, against TFX's LocalDagRunner in a fresh process"),
    Benchmark("vertex_mirroring", "airflow", "following 200 runs on Vertex AI, against the Google provider's trigger"),
    Benchmark(
        "cloud_storage", "airflow", "gs:// at 20 ms per request, against the Google provider's hook and operator"
    ),
)


class BenchmarkError(Exception):
    """A benchmark gave no result; the message says why."""


def run_benchmark(benchmark: Benchmark, python: Path) -> list[Result]:
    """Its results, from a process of its own; its standard error is passed on. Raises ``BenchmarkError``."""
    with tempfile.TemporaryDirectory(prefix="respan-bench-") as folder:
        environment = {
            **command_environment(os.environ),
            "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}",
            "RESPAN_HOME": folder,
            "RESPAN_STORAGE": f"file://{folder}/storage",
            "RESPAN_TFX_PYTHON": str(tfx_python(home())),
        }
        try:
            done = subprocess.run(
                [str(python), "-m", "benchmarks.child", benchmark.module],
                cwd=PROJECT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=_LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"took more than {_LONGEST_SECONDS} s") from None
    if done.returncode:
        raise BenchmarkError(f"ended with exit code {done.returncode}")
    try:
        return [Result(**document) for document in json.loads(done.stdout.splitlines()[-1])]
    except (IndexError, TypeError, ValueError) as error:
        raise BenchmarkError(f"printed no results: {error}") from error


def table(results: Sequence[Result]) -> str:
    """For people: one line for each result."""
    rows = [("what", "ours", "peer", "unit", "ratio", "bound", "met")]
    for result in results:
        figures = (f"{result.ours:,.4g}", f"{result.peer:,.4g}", result.unit, f"{result.ratio:.2f}")
        rows.append((result.name, *figures, result.bound, "yes" if result.met else "NO"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def main(arguments: Sequence[str] | None = None) -> int:
    known = {benchmark.module: benchmark for benchmark in BENCHMARKS}
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n\n", 1)[0] if __doc__ else None)
    parser.add_argument("benchmarks", nargs="*", help=f"some of: {', '.join(known)}; default: all")
    chosen = parser.parse_args(arguments).benchmarks or list(known)
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    pythons = {"airflow": Path(sys.executable), "tfx": tfx_python(home())}
    found: dict[str, list[Result]] = {}
    failed = False
    for name in chosen:
        say(f"{name}: {known[name].measures} …")
        try:
            found[name] = run_benchmark(known[name], pythons[known[name].environment])
        except BenchmarkError as error:
            failed = True
            say(f"{name}: {error}")
    write_results(RESULTS, found, machine(pythons))
    results = [result for name in found for result in found[name]]
    say("")
    sys.stdout.write(table(results) + "\n")
    return 1 if failed or not all(result.met for result in results) else 0


def write_results(file: Path, found: dict[str, list[Result]], measured_on: dict[str, Any]) -> None:
    """Merges ``found`` into ``file``: each benchmark's results, with when and on what they were measured."""
    kept: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    for name, results in found.items():
        kept[name] = {
            "date": when,
            "machine": measured_on,
            "source": source(name),
            "results": [{**asdict(result), "met": result.met} for result in results],
        }
    file.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def source(module: str) -> str:
    """What tells whether results are of the benchmark as it is now: the SHA-256 of its module, or of its package's."""
    place = Path(__file__).with_name(module)
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
