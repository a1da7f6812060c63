"""The gates for style and formatting: Python modules that are called with the files of a change, in a sandbox."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.ci_cd.sandbox import Outcome, run_sandboxed, sandbox_environment
from ml.ci_cd_settings import LimitSettings
from ml.errors import CodeError, MissingEnvironmentError, SettingsError

# Linux takes 128 KiB in one argument and about 2 MiB in all.
_LONGEST_CALL = 256 * 1024
_LONGEST_LINE = 300
_PLACES = (
    re.compile(r"^\s*(?:--> ?)?(?P<file>[^:]+):(?P<line>\d+)(?::\d+)?(?::\s*(?P<text>.*))?$"),
    re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?P<text>)'),
)
# Each finding on one line with its place, and nothing written to the checkout.
_ENVIRONMENT = {"NO_COLOR": "1", "RUFF_OUTPUT_FORMAT": "concise", "RUFF_NO_CACHE": "true"}


@dataclass(frozen=True)
class Finding:
    """A place in a file of the checkout that a gate doesn't let pass."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.text else f"{self.file}:{self.line}"


def python_files(checkout: Path, paths: Iterable[str]) -> list[str]:
    """Those of ``paths`` (relative to ``checkout``) that are Python files in it, sorted.

    What was deleted is not, nor a symbolic link, nor what lies behind one: it may lead out of the checkout.
    """
    root = checkout.resolve()
    return sorted({path for path in paths if path.endswith(".py") and _is_inside(root, path)})


def _is_inside(root: Path, path: str) -> bool:
    try:
        real = (root / path).resolve()
        return real == root / path and real.is_relative_to(root) and real.is_file()
    except (OSError, ValueError):
        return False


def python_files_below(checkout: Path, folder: str) -> list[str]:
    """All Python files below ``folder`` of the checkout, as :func:`python_files` tells them."""
    return python_files(checkout, (str(file.relative_to(checkout)) for file in (checkout / folder).rglob("*.py")))


def read_changed(file: Path) -> list[str] | None:
    """The paths in ``file``, a JSON list; None where it holds null: nobody knows what changed. Raises
    ``SettingsError``."""
    try:
        paths = json.loads(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"--changed {file} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"--changed {file} is no JSON: {error}") from None
    if paths is not None and not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
        raise SettingsError(f"--changed {file} must hold a list of paths, or null")
    return paths


def run_gates(
    gates: Sequence[str],
    files: Sequence[str],
    *,
    checkout: Path,
    pipelines_path: str,
    limits: LimitSettings,
    folder: Path,
) -> None:
    """Calls each gate with all ``files``, which are relative to the checkout; ``folder`` is the sandbox's.

    All gates are called; then the first that didn't pass is told in a ``CodeError`` with its first finding. The gates
    share the time of one step. Raises ``MissingEnvironmentError`` where a gate's module isn't installed.
    """
    environment = {**sandbox_environment(folder, checkout, pipelines_path), **_ENVIRONMENT}
    left = limits.seconds
    failed: list[str] = []
    for gate in gates:
        outcome = run_sandboxed(
            _target(shlex.split(gate), files),
            folder=folder,
            limits=limits.model_copy(update={"seconds": max(left, 0.1)}),
            cwd=checkout,
            environment=environment,
        )
        left -= outcome.seconds
        if why := _judge(gate, outcome, set(files), checkout, limits):
            failed.append(why)
    if failed:
        raise CodeError(failed[0])


def _target(words: list[str], files: Sequence[str]) -> Callable[[], int]:
    # -I: modules of the checkout can't stand in for the gate's.
    command = [sys.executable, "-I", "-B", "-m", *words]

    def gate() -> int:
        codes = [subprocess.run([*command, *some], check=False).returncode for some in _calls(files)]
        return next((code if code > 0 else 128 - code for code in codes if code), 0)

    return gate


def _calls(files: Sequence[str]) -> Iterator[list[str]]:
    some: list[str] = []
    length = 0
    for file in files:
        argument = f"./{file}" if file.startswith("-") else file
        length += len(os.fsencode(argument)) + 1
        if some and length > _LONGEST_CALL:
            yield some
            some, length = [], 0
        some.append(argument)
    if some:
        yield some


def _judge(gate: str, outcome: Outcome, files: set[str], checkout: Path, limits: LimitSettings) -> str | None:
    code = outcome.check(f"the processes of the gate `{gate}`", limits)
    if code == 0:
        return None
    module = shlex.split(gate)[0]
    if re.search(rf"No module named '?{re.escape(module)}\b", outcome.output.tail):
        raise MissingEnvironmentError(
            f"the gate `{gate}` of ci_cd.gates: there is no module {module} in {sys.prefix}; install it there"
        )
    findings = read_findings(outcome.output.head, files, checkout)
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        return f"{gate}: {findings[0]}{more}"
    named = [line for line in outcome.output.head.splitlines() if any(file in line for file in files)]
    last = named[0].strip() if named else outcome.output.last_error() or "it said nothing"
    return f"{gate}: exit code {code}: {last[:_LONGEST_LINE]}"


def read_findings(text: str, files: set[str], checkout: Path) -> list[Finding]:
    """The findings in a gate's output, in its order: lines with a place in one of ``files``."""
    found = []
    for line in text.splitlines():
        for pattern in _PLACES:
            if (match := pattern.match(line)) and (file := _known(match["file"], files, checkout)):
                found.append(Finding(file, int(match["line"]), (match["text"] or "").strip()[:_LONGEST_LINE]))
                break
    return found


def _known(name: str, files: set[str], checkout: Path) -> str | None:
    name = name.strip().removeprefix(f"{checkout}{os.sep}").removeprefix("./")
    return name if name in files else None
