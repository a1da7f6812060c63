"""Runs the job of docs/examples/github-actions.yaml as a runner of GitHub Actions would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

WORKFLOW = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "examples" / "github-actions.yaml"

_EXPRESSION = re.compile(r"^\$\{\{ ([a-z]+\.[A-Za-z_]+) \}\}$")


def workflow() -> dict[str, Any]:
    """The file; its key ``on`` is True in YAML 1.1."""
    document: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    return document


def step() -> dict[str, Any]:
    """The job's only step."""
    [only] = workflow()["jobs"]["ci_cd"]["steps"]
    found: dict[str, Any] = only
    return found


def run_job(
    url: str, pipeline: str, given: Mapping[str, str], *, timeout: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """Runs the step on ``url``, the address of an Airflow, and returns how it ended and what it printed.

    :param given: further values, named as in the step's ``env``: ``REVISION``, ``BRANCH``, ``AIRFLOW_WAIT``,
        ``AIRFLOW_USERNAME``, ``AIRFLOW_PASSWORD``, ``AIRFLOW_TOKEN``; what is missing is empty, as a secret is.
    """
    values = {"AIRFLOW_URL": url, "PIPELINE": pipeline, **given}
    assert set(values) <= set(step()["env"])
    with tempfile.TemporaryDirectory(prefix="respan-runner-") as folder:
        script = Path(folder) / "step.py"
        script.write_text(step()["run"], "utf-8")
        # A runner's own command for this shell: `python {0}`, {0} being the script's file.
        return subprocess.run(
            [sys.executable, str(script)],
            env={**_runner(folder), **{name: values.get(name, "") for name in step()["env"]}},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def expressions(environment: Mapping[str, str]) -> dict[str, str]:
    """For each variable of an ``env`` the one value of GitHub's contexts that it holds, and nothing around it."""
    found = {}
    for name, value in environment.items():
        match = _EXPRESSION.match(value)
        assert match, f"{name} is more than one expression: {value}"
        found[name] = match[1]
    return found


def _runner(folder: str) -> dict[str, str]:
    """What a runner's own environment is made of; without a proxy, since Airflow is on this machine here."""
    return {"PATH": os.environ["PATH"], "HOME": folder, "CI": "true", "GITHUB_ACTIONS": "true", "NO_PROXY": "*"}
