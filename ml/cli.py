"""``python -m ml``: every step of a model's life as a command.

Progress and messages go to standard error, results to standard output: for people, or one JSON document with
``--json``. The exit code is 0, or the error's (see :mod:`ml.errors`).
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from ml.commands.lazy import LazyGroup
from ml.errors import RespanError
from ml.home import pipelines_folders
from ml.logs import quiet
from ml.user_code import fault_of

#: Command → "module:attribute". Imported late, since some need seconds to import TFX.
COMMANDS = {
    "pipelines": "ml.commands.settings:pipelines",
    "settings": "ml.commands.settings:settings",
    "batch": "ml.commands.batch:batch",
    "predict": "ml.commands.predict:predict",
    "prediction": "ml.commands.prediction:prediction",
    "evaluate": "ml.commands.evaluate:evaluate",
    "score": "ml.commands.score:score",
    "span": "ml.commands.span:span",
    "window": "ml.commands.span:window",
    "schema": "ml.commands.pipeline:schema",
    "compile": "ml.commands.pipeline:compile_",
    "run": "ml.commands.run:run",
    "run-node": "ml.commands.run:run_node",
    "sample-data": "ml.commands.sample_data:sample_data",
    "local-run": "ml.commands.local_run:local_run",
    "train": "ml.commands.run:train",
    "release": "ml.commands.release:release",
    "ci-cd": "ml.commands.ci_cd:ci_cd",
    "audit": "ml.commands.audit:audit",
    "warm": "ml.commands.warm:warm",
}


@click.group(cls=LazyGroup, targets=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Respan, the model's side: data, training, evaluation and release of one model.

    State is in $RESPAN_HOME (default: var) and in the storage root $RESPAN_STORAGE (default: file://$RESPAN_HOME/storage).

    Exit codes: 0 done; 1 a bug; 2 settings or arguments; 3 unusable data; 4 held by somebody else; 5 not found;
    6 storage failed; 7 environment missing; 8 a TFX component failed; 9 a remote service can't be reached;
    10 the code under test is at fault; 11 it was killed. After 6, 8, 9 and 11 a retry may help.
    """


def run(arguments: Sequence[str]) -> int:
    """Runs one command in this process and returns its exit code; an expected error is one line on standard error."""
    quiet()
    try:
        result = cli.main(list(arguments), prog_name="python -m ml", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except RespanError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except Exception as error:
        fault = fault_of(error, pipelines_folders())
        if fault is None:
            raise
        traceback.print_exc(file=sys.stderr)
        click.echo(f"error: {fault}", err=True)
        return fault.exit_code


def main() -> None:
    sys.exit(run(sys.argv[1:]))
