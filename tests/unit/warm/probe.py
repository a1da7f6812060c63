"""Commands that show how they are run. Copied into a test's own project, never part of Respan."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from ml.errors import DataError

VERSION = "first"


@click.group()
def probe() -> None:
    """Commands that show how they are run."""


@probe.command()
def surroundings() -> None:
    os.umask(mask := os.umask(0))
    facts = {
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "argv": sys.argv,
        "umask": mask,
        "temporary": tempfile.gettempdir(),
        "input": sys.stdin.read(),
        "leader": os.getpid() == os.getsid(0) == os.getpgid(0),
    }
    click.echo(json.dumps(facts))


@probe.command()
def version() -> None:
    click.echo(VERSION)


@probe.command()
def randomness() -> None:
    click.echo(random.random())


@probe.command()
@click.argument("how")
def end(how: str) -> None:
    """Prints something, then ends in the way that is asked for."""
    click.echo('{"half": "done"}')
    click.echo("so far so good", err=True)
    if how == "refuse":
        raise DataError("the data can't be used")
    if how == "crash":
        raise ZeroDivisionError("a bug")
    if how == "exit":
        sys.exit(17)
    if how == "kill":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


@probe.command()
@click.argument("file", type=Path)
def sleep(file: Path) -> None:
    """Starts a process of its own, tells the ids of all in ``file``, and sleeps."""
    child = subprocess.Popen(["sleep", "600"])
    ids = {"session": os.getppid(), "worker": os.getpid(), "grandchild": child.pid}
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(ids))
    draft.rename(file)
    time.sleep(600)


@probe.command()
@click.argument("mine", type=Path)
@click.argument("theirs", type=Path)
def meet(mine: Path, theirs: Path) -> None:
    """Ends only when another process has come to the same place."""
    mine.touch()
    deadline = time.monotonic() + 60
    while not theirs.exists():
        if time.monotonic() > deadline:
            raise DataError("nobody came")
        time.sleep(0.01)
    click.echo("met")


@probe.command()
@click.argument("file", type=Path)
def effect(file: Path) -> None:
    """Leaves a line in ``file``, then works a little."""
    with file.open("a") as stream:
        stream.write("x\n")
    time.sleep(0.05)
