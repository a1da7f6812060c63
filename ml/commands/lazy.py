"""A group whose commands are imported when they are called: some need seconds to import TFX."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """Finds its commands in ``targets`` (command → "module:attribute") and imports only the one that is called."""

    def __init__(self, *arguments: Any, targets: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._targets:
            return None
        module, attribute = self._targets[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command
