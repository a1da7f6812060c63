"""Where ML Metadata is kept: a file, or a server; and that a server's password is told to nobody."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from ml.errors import SettingsError, StorageError
from ml.home import METADATA_VARIABLE, metadata_file
from ml.tfx.metadata import LockedMetadata
from ml.tfx.metadata_places import SqliteFile, metadata_place

_ADDRESS = "postgresql://respan:a-secret@metadata.example:6543/stores?sslmode=require"


def test_without_a_server_the_store_is_a_file_of_the_pipeline() -> None:
    assert metadata_place("digits", {}) == SqliteFile(metadata_file("digits"))


def test_a_new_file_store_opens_in_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    with LockedMetadata(SqliteFile(tmp_path / "new" / "digits.sqlite")) as handle:
        assert handle.store.get_contexts() == []


def test_each_pipeline_has_a_database_of_its_own_on_the_server() -> None:
    config = metadata_place("digits", {METADATA_VARIABLE: _ADDRESS}).connection().postgresql
    assert (config.host, config.port, config.user, config.password) == (
        "metadata.example",
        "6543",
        "respan",
        "a-secret",
    )
    assert config.dbname == "stores_digits"
    assert config.ssloption.sslmode == "require"
    assert config.skip_db_creation


@pytest.mark.parametrize(
    "address",
    [
        "mysql://respan:a-secret@metadata.example/stores",
        "postgresql://respan:a-secret@metadata.example",
        "postgresql://metadata.example/stores?a-secret=1",
        "host=metadata.example password=a-secret",
    ],
)
def test_what_is_no_address_of_a_server_is_refused_without_telling_it(address: str) -> None:
    with pytest.raises(SettingsError, match=METADATA_VARIABLE) as refused:
        metadata_place("digits", {METADATA_VARIABLE: address})
    assert "a-secret" not in str(refused.value)


def test_a_name_that_the_server_would_cut_off_is_refused() -> None:
    with pytest.raises(SettingsError, match="at most 63 characters"):
        metadata_place("d" * 60, {METADATA_VARIABLE: _ADDRESS})


def test_a_server_that_does_not_answer_fails_with_one_line_that_a_retry_may_help() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # it has the port, and doesn't listen
        port = nobody.getsockname()[1]
        place = metadata_place("digits", {METADATA_VARIABLE: f"postgresql://respan:a-secret@127.0.0.1:{port}/stores"})
        with pytest.raises(StorageError) as refused, place.lock("metadata"):
            pass
    assert refused.value.retryable
    assert "\n" not in str(refused.value)
    assert "a-secret" not in str(refused.value)
    assert "a-secret" not in repr(place)


def test_a_lock_of_a_pipeline_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    place = SqliteFile(tmp_path / "digits.sqlite")
    entered = threading.Event()

    def second() -> None:
        with place.lock("node"):
            entered.set()

    with place.lock("node"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.3)
    thread.join(10)
    assert entered.is_set()
