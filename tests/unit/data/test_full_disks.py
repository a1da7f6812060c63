"""A full disk or a read-only root at any time: one clear error, nothing lost, and a retry that finishes."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest

from ml.audit import audit
from ml.errors import StorageError
from ml.freezing import freeze
from ml.kinds.image_classification.kind import KIND
from ml.records import Settlement
from ml.settings import Settings
from ml.settling import settle
from ml.storage.local import LocalStorage
from tests.unit.data.mounting import mount

SAMPLES = 12


def collect(storage: LocalStorage) -> None:
    for number in range(SAMPLES):
        storage.write(f"inbox/3/{number}.png", b"image")


def test_a_freeze_on_a_full_disk_fails_and_its_retry_finishes(tiny_disk: Path, settings: Settings) -> None:
    storage = LocalStorage(tiny_disk)
    collect(storage)
    filler = tiny_disk / "filler"
    _fill(filler)
    with pytest.raises(StorageError, match="the disk is full"):
        freeze(storage, settings, "run 1")
    filler.unlink()
    assert (audit(storage, KIND).inbox, audit(storage, KIND).balanced) == (SAMPLES, True)
    assert freeze(storage, settings, "run 1").samples == SAMPLES


def test_a_settling_on_a_full_disk_fails_and_its_retry_finishes(tiny_disk: Path, settings: Settings) -> None:
    storage = LocalStorage(tiny_disk)
    collect(storage)
    batch = freeze(storage, settings, "run 1")
    filler = tiny_disk / "filler"
    _fill(filler)
    with pytest.raises(StorageError, match="the disk is full"):
        settle(storage, batch.id)
    filler.unlink()
    assert audit(storage, KIND).balanced
    assert settle(storage, batch.id).settlement == Settlement(archived=SAMPLES)
    assert audit(storage, KIND).archived == SAMPLES


def test_a_root_that_turns_read_only_fails_each_step_and_loses_nothing(tiny_disk: Path, settings: Settings) -> None:
    storage = LocalStorage(tiny_disk)
    collect(storage)
    mount("-o", "remount,ro", str(tiny_disk))
    with pytest.raises(StorageError, match="read-only: mount it writable, then retry"):
        freeze(storage, settings, "run 1")
    mount("-o", "remount,rw", str(tiny_disk))
    batch = freeze(storage, settings, "run 1")
    mount("-o", "remount,ro", str(tiny_disk))
    with pytest.raises(StorageError, match="read-only"):
        settle(storage, batch.id)
    assert (audit(storage, KIND).batch, audit(storage, KIND).balanced) == (SAMPLES, True)
    mount("-o", "remount,rw", str(tiny_disk))
    assert settle(storage, batch.id).settlement == Settlement(archived=SAMPLES)


@pytest.mark.usefixtures("root")
def test_a_full_temporary_folder_is_named_with_the_remedy(
    tiny_disk: Path, storage: LocalStorage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(400):
        storage.write(f"inbox/3/{number:0100}.png", b"image")
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tiny_disk))
        with pytest.raises(StorageError, match=f"{tiny_disk}: .*set TMPDIR"):
            freeze(storage, settings, "run 1")
        assert list(tiny_disk.iterdir()) == []
    assert freeze(storage, settings, "run 1").samples == 400


def _fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
