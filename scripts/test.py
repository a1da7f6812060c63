"""``python -m scripts.test [PATH …] [pytest's options]``: every test, in the environment that it belongs to.

The suites of one stage run side by side, one process for each. Their output is shown one after the other, never mixed.
Exit code: 0 when every suite passed and any test ran; else 1.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent

#: What pytest exits with when it selected no test.
NO_TESTS = 5
_CLOSING = re.compile(r"^(\d+ [a-z]+|no tests ran).* in \d[\d.]*s\b")
#: Bytes of output in which the closing line is looked for.
_TAIL = 1 << 16


@dataclass(frozen=True)
class Suite:
    """One call of pytest: the folders it covers, in the environment of that name."""

    name: str
    environment: str
    folders: tuple[str, ...]


#: End-to-end tests start a whole Airflow, and have the machine for themselves.
STAGES: tuple[tuple[Suite, ...], ...] = (
    (
        Suite("airflow", "airflow", ("tests/unit", "tests/dags", "tests/gcp")),
        Suite("tfx", "tfx", ("tests/unit", "tests/ml", "ml/pipelines")),
    ),
    (Suite("end to end", "airflow", ("tests/end_to_end",)),),
)


@dataclass
class Running:
    """A suite's process; its output goes to a file, so that it never waits for a reader."""

    suite: Suite
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    def show(self) -> str:
        """Prints the output as it comes, until the process has ended; returns pytest's closing line."""
        last = b""
        while True:
            ended = self.process.poll() is not None
            written = self.output.read()
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
            last = (last + written)[-_TAIL:]
            if ended:
                break
            time.sleep(0.1)
        return closing_line(last.decode("utf-8", "replace"))


def paths_of(suite: Suite, named: Sequence[str]) -> list[str]:
    """What ``suite`` runs when the user ``named`` some paths (none: everything): those in its folders."""
    existing = [folder for folder in suite.folders if (PROJECT / folder).is_dir()]
    if not named:
        return existing
    inside = []
    for name in named:
        path = (PROJECT / name.split("::")[0]).resolve()
        if any(path.is_relative_to(PROJECT / folder) for folder in existing):
            inside.append(name)
        inside += [
            folder for folder in existing if (PROJECT / folder).is_relative_to(path) and PROJECT / folder != path
        ]
    return inside


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths (also ``file.py::test``) among ``arguments``, and the others, which are pytest's options."""
    paths = [each for each in arguments if not each.startswith("-") and (PROJECT / each.split("::")[0]).exists()]
    return paths, [each for each in arguments if each not in paths]


def command(home: Path, suite: Suite, paths: Sequence[str], options: Sequence[str]) -> list[str]:
    """How pytest is called for ``suite``. Its cache is per environment, or ``--last-failed`` would mix them."""
    python = home / "envs" / suite.environment / "bin" / "python"
    cache = f"cache_dir=.pytest_cache/{suite.name.replace(' ', '-')}"
    return [str(python), "-m", "pytest", "-o", cache, *options, *paths]


def closing_line(output: str) -> str:
    """pytest's closing line in ``output``, also where a library had a last word after it; else the last line."""
    lines = [line.strip("= ") for line in output.splitlines() if line.strip("= ")]
    closings = [line for line in lines if _CLOSING.search(line)]
    return (closings or lines or [""])[-1]


def counts(closing: str) -> Counter[str]:
    """What pytest's closing line counts: "3 passed, 1 skipped in 2.1s" → {"passed": 3, "skipped": 1}."""
    found: Counter[str] = Counter()
    for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped|deselected|xfailed|xpassed)", closing):
        found[word.rstrip("s") if word.startswith("error") else word] += int(number)
    return found


def total(closings: Sequence[str], seconds: float) -> str:
    """One closing line, in pytest's form, for all suites together."""
    every: Counter[str] = sum((counts(closing) for closing in closings), Counter())
    order = ("failed", "error", "passed", "skipped", "deselected", "xfailed", "xpassed")
    text = ", ".join(f"{every[word]} {word}" for word in order if every[word]) or "no tests ran"
    minutes, rest = divmod(round(seconds), 60)
    return f" {text} in {seconds:.2f}s ({minutes // 60}:{minutes % 60:02}:{rest:02}) ".center(80, "=")


def run(home: Path, suites: Sequence[tuple[Suite, list[str]]], options: Sequence[str]) -> list[tuple[Suite, int, str]]:
    """Runs ``suites`` side by side. Returns each one's exit code and closing line. Leaves no process behind."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="respan-test-") as folder:
        try:
            for number, (suite, paths) in enumerate(suites):
                file = Path(folder) / f"{number}.txt"
                with file.open("wb") as output:
                    process = subprocess.Popen(
                        command(home, suite, paths, options),
                        cwd=PROJECT,
                        env=variables,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                started.append(Running(suite, process, file.open("rb")))
            done = []
            for running in started:
                say(f"\n{f' {running.suite.name}: {running.suite.environment} environment ':-^80}")
                closing = running.show()
                code = running.process.returncode
                if code == 0 and not counts(closing):
                    code, closing = 1, f"ended without pytest's closing line: {closing}"
                done.append((running.suite, code, closing))
            return done
        finally:
            for running in started:
                running.process.terminate()
                running.process.wait()
                running.output.close()


def main(arguments: Sequence[str]) -> int:
    home = Path(os.environ.get("RESPAN_HOME") or PROJECT / "var").absolute()
    named, options = split(arguments)
    began = time.monotonic()
    results: list[tuple[Suite, int, str]] = []
    for stage in STAGES:
        suites = [(suite, paths) for suite in stage if (paths := paths_of(suite, named))]
        results += run(home, suites, options)
    say("")
    for suite, code, closing in results:
        say(f"{suite.name:>10}: {closing}" + ("" if code in (0, NO_TESTS) else f"  [exit code {code}]"))
    say(total([closing for _, _, closing in results], time.monotonic() - began))
    codes = [code for _, code, _ in results]
    return 0 if 0 in codes and set(codes) <= {0, NO_TESTS} else 1


def say(line: str) -> None:
    """A line of this script's own, in its place among pytest's output."""
    print(line, flush=True)  # noqa: T201


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
