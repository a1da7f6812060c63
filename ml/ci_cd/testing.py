"""A pipeline's own tests at a revision, in a sandbox."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.ci_cd.folders import read_file
from ml.ci_cd.junit import TestResults, read_junit
from ml.ci_cd.sandbox import Outcome, run_sandboxed, sandbox_environment, use_checkout
from ml.ci_cd_settings import LimitSettings
from ml.errors import CodeError, MissingEnvironmentError, NotFoundError

_JUNIT = "junit.xml"
_CURRENT = "current-test"
_LARGEST_JUNIT = 64 * 2**20
_LONGEST_NAME = 300
_LONGEST_LINE = 500
# Exit code where pytest was not reached; none of pytest's own.
_NOT_BEGUN = 120
# pytest's exit code where it collected no test.
_NO_TESTS = 5
# The first of these that holds pytest's section configures it, as when pytest is called in the checkout.
_CONFIGURATIONS = {
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}


@dataclass(frozen=True)
class TestRun:
    """``junit`` is pytest's JUnit file; ``why`` tells what was wrong, None where all was well; ``left`` names processes
    that the tests left behind and that were ended."""

    __test__ = False

    results: TestResults
    junit: bytes
    why: str | None
    left: list[str]


def find_tests(checkout: Path, pipelines_path: str, pipeline: str, kind: str) -> list[str]:
    """The folders with a pipeline's tests, relative to the checkout: its own, and its kind's where that has some.

    Raises ``NotFoundError`` where the checkout doesn't hold the pipeline.
    """
    own = f"{pipelines_path}/{pipeline}"
    if not (checkout / own).is_dir():
        raise NotFoundError(f"{checkout} has no folder {own}: see ci_cd.pipelines_path")
    return [folder for folder in (own, f"ml/kinds/{kind}") if any((checkout / folder).rglob("*_test.py"))]


def run_tests(
    pipeline: str,
    folders: list[str],
    *,
    checkout: Path,
    pipelines_path: str,
    limits: LimitSettings,
    folder: Path,
) -> TestRun:
    """Runs the ``*_test.py`` files in ``folders`` of the checkout with pytest; ``folder`` is the sandbox's.

    pytest's arguments are those of the checkout's settings. Raises ``CodeError`` where the tests don't come to an end
    that pytest tells about, ``KilledError`` where somebody ends them, and ``MissingEnvironmentError`` without pytest.
    """
    if importlib.util.find_spec("pytest") is None:
        raise MissingEnvironmentError(f"pytest is not installed in {sys.prefix}; run: make setup")
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"--rootdir={checkout}",
        f"--confcutdir={checkout}",
        f"-c{_configuration(checkout, folder)}",
        f"--junitxml={folder / _JUNIT}",
        "-ojunit_family=xunit1",
        "-opython_files=*_test.py",
        "-pno:cacheprovider",
        "--import-mode=importlib",
        "--continue-on-collection-errors",
        "--tb=short",
    ]
    outcome = run_sandboxed(
        _target(pipeline, checkout, arguments, folders, folder / _CURRENT),
        folder=folder,
        limits=limits,
        cwd=checkout,
        environment=sandbox_environment(folder, checkout, pipelines_path),
    )
    return _judge(outcome, folder, limits)


def _target(
    pipeline: str, checkout: Path, arguments: list[str], folders: list[str], current: Path
) -> Callable[[], int]:
    def pytest_in_sandbox() -> int:
        use_checkout(checkout)
        try:
            settings: Any = importlib.import_module("ml.settings")
            modules: Any = importlib.import_module("ml.pipeline_modules")
            further = settings.load_settings(pipeline).ci_cd.test_arguments
            modules.bind_pipeline(pipeline)
        except Exception as error:
            traceback.print_exc()
            sys.stderr.write(f"error: {_one_line(error)}\n")
            return _NOT_BEGUN
        pytest: Any = importlib.import_module("pytest")
        return int(pytest.main([*arguments, *further, *folders], plugins=[_CurrentTest(current)]))

    return pytest_in_sandbox


def _one_line(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename} line {error.lineno}: {type(error).__name__}: {error.msg}"
    kind = (
        "" if hasattr(error, "retryable") else f"{type(error).__name__}: "
    )  # Respan's own errors speak for themselves
    return f"{kind}{error}"


def _configuration(checkout: Path, folder: Path) -> Path:
    """The checkout's configuration of pytest; else an empty one, since pytest would look for one above the checkout."""
    for name, section in _CONFIGURATIONS.items():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if section in (checkout / name).read_text("utf-8"):
                return checkout / name
    empty = folder / "pytest.ini"
    empty.write_text("[pytest]\n")
    return empty


class _CurrentTest:
    """A plugin of pytest that keeps the name of the test under way in a file, which outlives the process."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_collectstart(self, collector: Any) -> None:
        self._file.write_text(collector.nodeid, "utf-8", "replace")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._file.write_text(nodeid, "utf-8", "replace")


def _judge(outcome: Outcome, folder: Path, limits: LimitSettings) -> TestRun:
    current = " ".join((read_file(folder / _CURRENT, _LONGEST_NAME) or b"").decode("utf-8", "replace").split())
    file, separator, test = current.partition("::")
    at = f" (at {file.rpartition('/')[2]}{separator}{test})" if current else ""
    code = outcome.check(f"the tests{at}", limits)
    if code == _NOT_BEGUN and not at:
        raise CodeError((outcome.output.last_error() or "the tests could not begin")[:_LONGEST_LINE])
    if code < 0:
        raise CodeError(f"the tests{at} crashed: killed by signal {-code}")
    junit = read_file(folder / _JUNIT, _LARGEST_JUNIT)
    if junit is None:
        last = "" if at else f": {(outcome.output.last_error() or 'it wrote nothing')[:_LONGEST_LINE]}"
        raise CodeError(f"the tests{at} ended their process with exit code {code} before pytest was done{last}")
    try:
        results = read_junit(junit)
    except ValueError as error:
        raise CodeError(f"the tests{at} left a JUnit file that can't be read: {error}") from None
    why: str | None = None
    if results.failed:
        why = results.summary()
    elif code not in (0, _NO_TESTS):
        why = f"pytest ended with exit code {code}: {(outcome.output.last_error() or '')[:_LONGEST_NAME]}"
    return TestRun(results, junit, why, outcome.left)
