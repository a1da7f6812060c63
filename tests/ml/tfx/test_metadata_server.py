"""ML Metadata on a real PostgreSQL server: its locks, its databases, and what is told where it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path

import psycopg
import pytest
from ml_metadata.proto import metadata_store_pb2

from ml.errors import StorageError
from ml.home import METADATA_VARIABLE, PROJECT
from ml.tfx.metadata import LockedMetadata
from ml.tfx.metadata_places import MetadataPlace, metadata_place
from tests.ml.tfx.postgres import PASSWORDS

pytestmark = pytest.mark.slow

_HOLD = """
import sys, time
from ml.tfx.metadata_places import metadata_place
with metadata_place("digits").lock("node"):
    print("held", flush=True)
    time.sleep(600)
"""


def place(server: str, pipeline: str) -> MetadataPlace:
    return metadata_place(pipeline, {METADATA_VARIABLE: server})


def test_each_pipeline_gets_a_database_of_its_own_when_it_is_first_opened(metadata_server: str) -> None:
    for pipeline in ("one", "other"):
        with LockedMetadata(place(metadata_server, pipeline)) as handle:
            assert handle.store.get_contexts() == []
    with psycopg.connect(metadata_server) as connection:
        names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    assert {"respan", "respan_one", "respan_other"} <= names


@pytest.mark.usefixtures("either_metadata")
def test_any_text_comes_back_from_the_store_as_it_was(respan_home: Path) -> None:
    texts = [
        "plain",
        "it's",
        'a "quoted" one',
        "C:\\new\\folder",
        "\\",
        "\\'; DROP TABLE Execution; --",
        "E'{\n}'",
        "ü 😀 %s $1",
    ]
    with LockedMetadata(metadata_place("any_text")) as handle:
        kind = metadata_store_pb2.ExecutionType(name="Anything", properties={"text": metadata_store_pb2.STRING})
        kind.id = handle.store.put_execution_type(kind)
        executions = [metadata_store_pb2.Execution(type_id=kind.id, name=f"{n}\\") for n in range(len(texts))]
        for execution, text in zip(executions, texts, strict=True):
            execution.properties["text"].string_value = text
            execution.custom_properties["as_json"].string_value = json.dumps({"quoted": json.dumps(text)})
        ids = handle.store.put_executions(executions)
    with LockedMetadata(metadata_place("any_text")) as handle:
        found = handle.store.get_executions_by_id(ids)
        by_name = handle.store.get_execution_by_type_and_name("Anything", "3\\")
    assert [one.properties["text"].string_value for one in found] == texts
    told = [json.loads(json.loads(one.custom_properties["as_json"].string_value)["quoted"]) for one in found]
    assert told == texts
    assert by_name is not None
    assert by_name.id == ids[3]


def test_a_lock_is_free_when_the_process_that_held_it_was_killed(metadata_server: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        env={**os.environ, "PYTHONPATH": str(PROJECT), METADATA_VARIABLE: metadata_server},
        stdout=subprocess.PIPE,
        text=True,
    )

    def take() -> None:
        with place(metadata_server, "digits").lock("node"):
            pass

    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with place(metadata_server, "digits").lock("another node"), place(metadata_server, "letters").lock("node"):
            pass  # the others are free
        with ThreadPoolExecutor() as pool:
            taken = pool.submit(take)
            with pytest.raises(TimeoutError):
                taken.result(1)
            holder.kill()
            holder.wait()
            taken.result(30)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_wrong_password_is_told_in_one_line_without_it(metadata_server: str) -> None:
    wrong = metadata_server.replace(PASSWORDS["METADATA_PASSWORD"], "not-the-secret")
    with pytest.raises(StorageError, match="password authentication failed") as refused:
        place(wrong, "digits").lock("node").__enter__()
    assert "\n" not in str(refused.value)
    assert "not-the-secret" not in str(refused.value)


@pytest.mark.parametrize("database", ["airflow", "postgres"])
def test_the_role_of_ml_metadata_can_enter_nobody_elses_database(metadata_server: str, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(f"{metadata_server.rpartition('/')[0]}/{database}")


def test_airflows_role_can_enter_no_database_of_ml_metadata(metadata_server: str) -> None:
    with LockedMetadata(place(metadata_server, "one")):
        pass
    passwords = (PASSWORDS["METADATA_PASSWORD"], PASSWORDS["AIRFLOW_DATABASE_PASSWORD"])
    address = metadata_server.replace("//respan:", "//airflow:").replace(*passwords)
    for database in ("respan", "respan_one"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(f"{address.rpartition('/')[0]}/{database}")
