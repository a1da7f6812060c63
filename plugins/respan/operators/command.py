"""A task that is one command of the model's side."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException

from respan.failures import failure, told_to_airflow
from respan.hooks.tfx import Command, TfxHook
from respan.supervision import end_with_supervisor

_ERROR = "error: "


class MlCommandOperator(BaseOperator):
    """Runs ``python -m ml *arguments --json`` in TFX's environment and returns its JSON document.

    What the command writes to standard error is the task's log. A command that fails fails the task with its own
    one-line error; whether it is retried follows from its exit code (:mod:`respan.failures`). A retry is safe, since
    every command finds its own finished work. Killing the task, or the supervisor that Airflow runs it under, kills the
    command and all that it started.

    :param arguments: the command and its arguments, templated; outputs of other tasks may be among them. A number
        becomes its text, a list of numbers a window (``1,2``).
    """

    template_fields: Sequence[str] = ("arguments",)
    ui_color = "#e8f1fb"

    def __init__(self, *, arguments: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self._command: Command | None = None

    def execute(self, context: Context) -> Any:
        end_with_supervisor()
        argv = [*(_text(argument) for argument in self.arguments), "--json"]
        self.log.info("python -m ml %s", " ".join(argv))
        with told_to_airflow(), tempfile.TemporaryFile() as output:
            exit_code, last_error = self._run(argv, output.fileno())
            if exit_code:
                raise failure(exit_code, last_error or f"the command ended with exit code {exit_code} and no message")
            output.seek(0)
            return self._document(output.read().decode("utf-8", "replace"))

    def hook(self) -> TfxHook:
        """Which interpreter runs the command."""
        return TfxHook()

    def on_kill(self) -> None:
        if self._command is not None:
            self._command.kill()

    def _run(self, argv: Sequence[str], stdout: int) -> tuple[int, str]:
        """Exit code, and the last error or line that the command wrote to standard error."""
        reading, writing = os.pipe()
        last_line = last_error = ""
        with open(reading, encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 - a file descriptor
            try:
                self._command = self.hook().start(argv, stdout=stdout, stderr=writing)
            finally:
                os.close(writing)
            with self._command as command:
                for line in lines:
                    text = line.rstrip()
                    if not text:
                        continue
                    self.log.info("%s", text)
                    last_line = text
                    if text.startswith(_ERROR):
                        last_error = text.removeprefix(_ERROR)
                return command.wait(), last_error or last_line

    def _document(self, output: str) -> Any:
        """The last line; what a pipeline's own code printed before it belongs to the log."""
        *printed, last = output.strip().splitlines() or [""]
        for line in printed:
            self.log.info("%s", line)
        try:
            return json.loads(last)
        except ValueError:
            raise AirflowException(f"the command ended well but wrote no JSON document: {last[:200]!r}") from None


def _text(argument: Any) -> str:
    if isinstance(argument, list | tuple):
        return ",".join(_text(item) for item in argument)
    if argument is None:
        raise AirflowException("an argument of the command is missing: an earlier task returned nothing for it")
    return str(argument)
