"""``ci-cd``: the steps between a change of the code and a training run with it."""

from __future__ import annotations

import click

from ml.commands.lazy import LazyGroup

COMMANDS = {
    "lint": "ml.commands.ci_cd_lint:lint",
    "test": "ml.commands.ci_cd_tests:test",
    "compile": "ml.commands.ci_cd_compile:compile_",
    "run-locally": "ml.commands.ci_cd_local_run:run_locally",
    "copy-modules": "ml.commands.ci_cd_modules:copy_modules",
    "list": "ml.commands.ci_cd_list:list_",
    "mark-processed": "ml.commands.ci_cd_mark:mark_processed",
}


@click.group(cls=LazyGroup, targets=COMMANDS)
def ci_cd() -> None:
    """From a change of the code to a training run: its steps, each on a checkout, and what was processed."""
