"""What a container on Vertex AI runs for one component: TFX's own executor, with the run's code in place.

``python -m ml.tfx.vertex_node --node ID [--pipeline NAME [--modules URI]]`` and then the arguments of
``tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor``. With ``--modules``, a folder of
``<storage>/<pipeline>/modules/``, the pipeline is the one of that revision, also where the image holds another.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ml.errors import ComponentError, RespanError, SettingsError
from ml.logs import quiet
from ml.temporary import temporary_folder

_EXECUTOR = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"

#: Where Vertex AI looks for the message of a task that failed: beside the executor's output, as the Google Cloud
#: Pipeline Components write it.
_ERROR_FILE = "executor_error.json"


def main(arguments: Sequence[str]) -> int:
    """Runs the component; its exit code. A failure is its trace, then one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m ml.tfx.vertex_node", allow_abbrev=False)
    parser.add_argument("--node", required=True)
    parser.add_argument("--pipeline")
    parser.add_argument("--modules")
    given, rest = parser.parse_known_args(arguments)
    quiet()
    with contextlib.ExitStack() as stack:
        try:
            if "RESPAN_HOME" not in os.environ:
                os.environ["RESPAN_HOME"] = str(stack.enter_context(temporary_folder()))
            if given.pipeline is not None:
                _bind(given.pipeline, given.modules)
            _execute(rest)
        except Exception as error:
            traceback.print_exc()
            return _failed(given.node, error, rest)
    return 0


def _bind(pipeline: str, modules: str | None) -> None:
    from ml.pipeline_modules import bind_pipeline

    bind_pipeline(pipeline, _fetched(pipeline, modules) if modules is not None else None)


def _fetched(pipeline: str, modules: str) -> Path:
    from ml import layout
    from ml.ci_cd.module_cache import fetch_modules
    from ml.storage import open_storage

    root, separator, revision = modules.rpartition(f"/{layout.MODULES}/")
    if not separator or not revision or "/" in revision:
        raise SettingsError(f"--modules {modules!r}: give <storage>/{pipeline}/{layout.MODULES}/<revision>")
    return fetch_modules(open_storage(root), pipeline, revision)


def _execute(arguments: list[str]) -> None:
    """As its own command would, so that nothing depends on how TFX's module is made."""
    sys.argv = [_EXECUTOR, *arguments]
    try:
        runpy.run_module(_EXECUTOR, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise ComponentError(f"TFX's executor ended with {ended.code}: see the log above") from None


def _failed(node: str, error: Exception, arguments: Sequence[str]) -> int:
    from ml.tfx.failures import cause, innermost

    line = f"{node} failed: {cause(error)}"
    try:
        _leave_message(line, arguments)
    except Exception:  # it must not hide the failure that it is about
        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr, flush=True)  # noqa: T201
    own = innermost(error)
    return own.exit_code if isinstance(own, RespanError) else ComponentError.exit_code


def _leave_message(line: str, arguments: Sequence[str]) -> None:
    from tfx.dsl.io import fileio

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--json_serialized_invocation_args", default="{}")
    executor_input = json.loads(parser.parse_known_args(arguments)[0].json_serialized_invocation_args)
    output = executor_input.get("outputs", {}).get("outputFile")
    if output:
        folder = os.path.dirname(output)  # noqa: PTH120 - a URI
        fileio.makedirs(folder)
        with fileio.open(f"{folder}/{_ERROR_FILE}", "w") as stream:
            stream.write(json.dumps({"errorMessage": line}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
