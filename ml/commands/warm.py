"""``python -m ml warm``: the process that has TFX loaded."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from ml.commands.output import json_option, note, show


@click.group()
def warm() -> None:
    """The process that has TFX loaded and forks one child for each command.

    Airflow's tasks start it by themselves. It ends when nobody has used it for $RESPAN_WARM_IDLE_SECONDS (default 900;
    0: none is started, and each command is a process of its own).
    """


@warm.command()
@click.option("--detach", is_flag=True, help="Go on in the background; exit when it listens.")
def serve(detach: bool) -> None:
    """Serve until stopped, idle, or superseded by a change of the environment."""
    from ml.errors import SettingsError
    from ml.warm.address import Address
    from ml.warm.client import IDLE_VARIABLE, idle_seconds
    from ml.warm.log import Log
    from ml.warm.server import Server

    seconds = idle_seconds(os.environ)
    if not seconds:
        raise SettingsError(f"the warm process is switched off: {IDLE_VARIABLE} is 0")
    address = Address.of(Path(sys.executable), os.environ)
    server = Server(address)
    if detach and not server.detach():
        return
    server.run(seconds, Log(address.log if detach else None))


@warm.command()
@json_option
def status(as_json: bool) -> None:
    """The warm processes of this RESPAN_HOME."""
    from ml.warm.client import status as warm_status

    found = warm_status(os.environ)
    if not found and not as_json:
        note("no warm process")
    lines = [
        f"process {pid}: importing"
        if hello is None
        else f"process {pid}: ready for {time.time() - hello.since:.0f} s "
        f"(imports took {hello.preload_seconds:.1f} s), {hello.commands} commands, {hello.running} connections now"
        for pid, hello in found.items()
    ]
    document = {
        "processes": [
            {"pid": pid, "ready": hello is not None, "running": hello.running if hello else 0}
            for pid, hello in found.items()
        ]
    }
    show(document, as_json=as_json, text="\n".join(lines))


@warm.command()
@json_option
def stop(as_json: bool) -> None:
    """End the warm processes of this RESPAN_HOME, each after its commands under way."""
    from ml.warm.client import stop as warm_stop

    stopped = warm_stop(os.environ)
    text = f"stopped {', '.join(map(str, stopped))}" if stopped else "no warm process"
    show({"stopped": stopped}, as_json=as_json, text=text)
