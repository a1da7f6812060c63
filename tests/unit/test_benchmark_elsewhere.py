from __future__ import annotations

import operator
import os
from contextlib import nullcontext

import pytest

from benchmarks.elsewhere import client, elsewhere

pytest.importorskip("airflow", reason="benchmarks run in Airflow's environment")


def _process(_: None) -> int:
    return os.getpid()


def _variable(_: None, name: str) -> str | None:
    return os.environ.get(name)


def test_what_is_called_elsewhere_gets_the_thing_that_is_there() -> None:
    with elsewhere(nullcontext, 40) as there:
        assert [there.call(operator.add, number) for number in (2, 3)] == [42, 43]


def test_a_call_that_fails_elsewhere_ends_that_process() -> None:
    with elsewhere(nullcontext, 40) as there, pytest.raises(EOFError):
        there.call(operator.truediv, 0)


def test_elsewhere_is_another_process_which_ends_with_the_block() -> None:
    with elsewhere(nullcontext, None) as there:
        process = there.call(_process)
        assert process != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_client_has_the_environment_that_the_cloud_gives() -> None:
    with elsewhere(client, {"GRPC_PROXY": "http://127.0.0.1:1"}) as there:
        assert there.call(_variable, "GRPC_PROXY") == "http://127.0.0.1:1"
    assert os.environ.get("GRPC_PROXY") != "http://127.0.0.1:1"
