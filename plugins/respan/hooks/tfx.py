"""The way from a task to TFX's environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from airflow.sdk import BaseHook

from ml.errors import MissingEnvironmentError
from ml.home import home, storage_root
from ml.storage.credentials import ACCESS_TOKEN, EMULATOR
from ml.warm import client
from ml.warm.environment import command_environment
from respan.google_credentials import access_token
from respan.hooks.cold_command import ColdCommand

Command = client.WarmCommand | ColdCommand


class TfxHook(BaseHook):
    """Runs ``python -m ml …`` with TFX's interpreter: in the warm process where there is one, else in a process of its
    own. Both give the same result."""

    def interpreter(self) -> Path:
        """TFX's interpreter: ``RESPAN_TFX_PYTHON``, else ``$RESPAN_HOME/envs/tfx/bin/python``.

        Raises ``MissingEnvironmentError`` naming the command that installs it.
        """
        named = os.environ.get("RESPAN_TFX_PYTHON")
        python = Path(named) if named else home() / "envs" / "tfx" / "bin" / "python"
        if not os.access(python, os.X_OK):
            source = "RESPAN_TFX_PYTHON" if named else "TFX's environment"
            raise MissingEnvironmentError(f"{source}: there is no interpreter at {python}; run: make setup")
        return python

    def environment(self) -> dict[str, str]:
        """All that a command sees of the environment: nothing of Airflow's, which holds keys and connections, since the
        model's side runs a user's code. Home and storage are spelled out, so that it can't fall back to other ones.

        Where storage is in Cloud Storage there is also an access token of Airflow's connection to Google Cloud, good
        for an hour at most. Raises the ``RespanError`` that says why there is none.
        """
        given = {
            **command_environment(os.environ),
            "RESPAN_HOME": str(home()),
            "RESPAN_STORAGE": storage_root(),
        }
        in_cloud = given["RESPAN_STORAGE"].startswith("gs://") and not os.environ.get(EMULATOR)
        if in_cloud and (token := access_token()):
            given[ACCESS_TOKEN] = token
        return given

    def start(self, argv: Sequence[str], *, stdout: int, stderr: int) -> Command:
        """Starts the command ``argv``, which writes to the open files ``stdout`` and ``stderr``.

        Closing the command, or the death of this process, kills it. Raises ``MissingEnvironmentError``, and
        ``ml.warm.client.WarmLostError`` where nobody knows whether it was started: leave that to the task's retry.
        """
        python, environment = self.interpreter(), self.environment()
        try:
            return client.start(argv, python=python, environment=environment, stdout=stdout, stderr=stderr)
        except client.WarmUnavailableError as error:
            self.log.info("in a process of its own: %s", error)
            return ColdCommand(argv, python=python, environment=environment, stdout=stdout, stderr=stderr)
