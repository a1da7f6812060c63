"""What a JUnit file of pytest tells: how many tests, and which failed where.

The file is written by code under test, so it may be anything: it is read with expat alone, and a document type, which
could define entities that grow without bound, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from xml.parsers import expat

_LONGEST_MESSAGE = 300
_LONGEST_TEXT = 256 * 1024
_LOCATION = re.compile(r"^(?P<file>[^\s:][^:\n]*\.py):(?P<line>\d+): ", re.MULTILINE)
_SYNTAX_LOCATION = re.compile(r'^E\s+File "(?P<file>[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
_ERROR_LINE = re.compile(r"^E {2,}(?P<text>\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """A test that failed, or a file of which no test could be collected.

    ``test`` is the file's name, and the test's as ``file::test``; ``place`` tells where it failed ("line 31", or
    "model.py line 12" in another file), None where the file doesn't tell; ``message`` is one line.
    """

    test: str
    place: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.test} ({self.place}): {self.message}" if self.place else f"{self.test}: {self.message}"


@dataclass(frozen=True)
class TestResults:
    """``tests`` counts all, also those that ``failed`` and were ``skipped``; ``seconds`` is their time together."""

    __test__ = False

    tests: int
    skipped: int
    seconds: float
    failures: list[Failure]

    @property
    def failed(self) -> int:
        return len(self.failures)

    def summary(self) -> str:
        """One line: how many failed, and the first of them."""
        if not self.tests:
            return "there are no tests in the test files"
        if not self.failures:
            return f"{self.tests} tests passed" + (f", {self.skipped} of them skipped" if self.skipped else "")
        return f"{self.failed} of {self.tests} tests failed: {self.failures[0]}"


@dataclass
class _Case:
    attributes: dict[str, str]
    skipped: bool = False
    failed: str | None = None
    text: list[str] = field(default_factory=list)
    length: int = 0

    def add(self, text: str) -> None:
        self.text.append(text[: max(0, _LONGEST_TEXT - self.length)])
        self.length += len(text)


def read_junit(data: bytes) -> TestResults:
    """The results in a JUnit file. Raises ``ValueError``, one line, where it is none."""
    cases: list[_Case] = []
    inside: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        inside.append(name)
        if name == "testcase":
            cases.append(_Case(attributes))
        elif cases and name == "skipped":
            cases[-1].skipped = True
        elif cases and name in ("failure", "error") and cases[-1].failed is None:
            cases[-1].failed = attributes.get("message", "")

    def text(data: str) -> None:
        if inside[-1:] in (["failure"], ["error"]):
            cases[-1].add(data)

    def refuse(*_: object) -> None:
        raise ValueError("it has a document type")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: inside.pop()
    parser.CharacterDataHandler = text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"it is no XML: {error}") from None
    return TestResults(
        tests=len(cases),
        skipped=sum(case.skipped for case in cases),
        seconds=round(sum(_seconds(case) for case in cases), 3),
        failures=[_failure(case) for case in cases if case.failed is not None],
    )


def _seconds(case: _Case) -> float:
    try:
        return max(0.0, float(case.attributes.get("time", 0)))
    except ValueError:
        return 0.0


def _failure(case: _Case) -> Failure:
    text = "".join(case.text)
    file = case.attributes.get("file", "")
    errors = [match["text"] for match in _ERROR_LINE.finditer(text)]
    if found := list(_SYNTAX_LOCATION.finditer(text)):
        message = errors[-1] if errors else "SyntaxError"
    else:
        message = _first_error(errors) or case.failed or "it failed"
        # Relative paths are those in the checkout; the last one is nearest to the cause.
        found = [match for match in _LOCATION.finditer(text) if not match["file"].startswith(("/", ".."))]
    place = _place(found[-1]["file"], int(found[-1]["line"]), file) if found else _declared(case)
    return Failure(_test_name(case, file), place, " ".join(message.split())[:_LONGEST_MESSAGE])


def _first_error(errors: list[str]) -> str:
    """The first line; with the second where it names the exception only, as NumPy's assertions do."""
    first = " ".join(errors[:1]).strip()
    return " ".join(errors[:2]) if first.endswith(":") else first


def _place(file: str, line: int, test_file: str) -> str:
    name = PurePosixPath(file).name
    return f"line {line}" if name == PurePosixPath(test_file).name else f"{name} line {line}"


def _declared(case: _Case) -> str | None:
    line = case.attributes.get("line", "")
    return f"line {int(line) + 1}" if line.isascii() and line.isdigit() else None


def _test_name(case: _Case, file: str) -> str:
    name = " ".join(case.attributes.get("name", "").split())[:_LONGEST_MESSAGE]
    if not file:
        return name
    path = PurePosixPath(file)
    if not case.attributes.get("classname"):
        return path.name
    module = ".".join(path.with_suffix("").parts)
    classes = case.attributes["classname"].removeprefix(module).strip(".")
    return "::".join([path.name, *filter(None, classes.split(".")), name])
