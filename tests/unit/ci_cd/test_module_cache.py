"""What a run is given is to the byte what was copied, whatever lies in the cache."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ml import layout
from ml.ci_cd.module_cache import fetch_modules
from ml.ci_cd.modules import copy_modules, read_modules
from ml.ci_cd.records import ModuleFile, Scope
from ml.errors import DataError, NotFoundError, StorageError
from ml.storage.local import LocalStorage
from tests.unit.ci_cd.module_folders import A, B, write_folder
from tests.unit.data.killing import killed_at

FILES = {"graph.json", "layers/attention.py", "model.py", "settings.py", "settings.yaml"}


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    """With the pipeline's modules at one revision."""
    storage = LocalStorage(tmp_path / "storage").child("flowers")
    copy_modules(storage, "flowers", write_folder(tmp_path / "checkout" / "flowers"), A, Scope.MODULES)
    return storage


@pytest.fixture
def cache(respan_home: Path) -> Path:
    return respan_home / "modules" / "flowers"


def content(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_fetched_folder_is_what_was_copied(storage: LocalStorage, cache: Path) -> None:
    folder = fetch_modules(storage, "flowers", A)
    assert folder == cache / A / "flowers"
    assert content(folder) == {name: storage.read(layout.modules(A, name)) for name in FILES}


def test_what_was_fetched_is_used_again_beside_its_bytecode(storage: LocalStorage, cache: Path) -> None:
    folder = fetch_modules(storage, "flowers", A)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.cpython-310.pyc").write_bytes(b"bytecode")
    before = (folder / "model.py").stat()
    assert fetch_modules(storage, "flowers", A) == folder
    assert (folder / "model.py").stat() == before


def _edited(folder: Path) -> None:
    (folder / "model.py").write_text("depth = 2\n")  # of the same size


def _extended(folder: Path) -> None:
    (folder / "layers" / "attention.py").write_text("longer than before" * 9)


def _added(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("")


def _removed(folder: Path) -> None:
    (folder / "graph.json").unlink()


def _linked(folder: Path) -> None:
    other = folder.parent / "model.py"
    (folder / "model.py").rename(other)
    (folder / "model.py").symlink_to(other)


def _folder_linked(folder: Path) -> None:
    folder.rename(folder.parent / "moved")
    folder.symlink_to(folder.parent / "moved")


def _file_in_the_folders_place(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize(
    "damage", [_edited, _extended, _added, _removed, _linked, _folder_linked, _file_in_the_folders_place]
)
def test_a_damaged_cache_is_fetched_anew(storage: LocalStorage, cache: Path, damage: Callable[[Path], None]) -> None:
    folder = fetch_modules(storage, "flowers", A)
    expected = content(folder)
    damage(folder)
    assert fetch_modules(storage, "flowers", A) == folder
    assert content(folder) == expected
    assert not folder.is_symlink()
    assert sorted(entry.name for entry in cache.iterdir()) == [A, "lock"]


def test_a_fetch_killed_anywhere_is_finished_by_its_repeat(storage: LocalStorage, cache: Path) -> None:
    for operation in range(1, 1_000):
        killed = killed_at(lambda: fetch_modules(storage, "flowers", A), operation, cache)
        folder = cache / A / "flowers"
        assert not folder.exists() or set(content(folder)) == FILES, "a folder is whole or not there"
        assert set(content(fetch_modules(storage, "flowers", A))) == FILES
        assert sorted(entry.name for entry in cache.iterdir()) == [A, "lock"]
        shutil.rmtree(cache)
        if not killed:
            assert operation > 10, "the fetch hardly touches the disk: this test proves nothing"
            return


def _fetch_often(root: str, failures: object) -> None:
    try:
        for _ in range(20):
            folder = fetch_modules(LocalStorage(Path(root)), "flowers", A)
            assert set(content(folder)) == FILES
    except BaseException as error:
        failures.put(repr(error))  # type: ignore[attr-defined]


def test_nodes_that_start_at_the_same_time_share_one_fetch(storage: LocalStorage, cache: Path) -> None:
    context = multiprocessing.get_context("fork")
    failures = context.Queue()
    nodes = [context.Process(target=_fetch_often, args=(storage.uri(), failures)) for _ in range(6)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join()
    assert failures.empty(), failures.get()


def test_a_revision_that_was_never_copied_is_told_and_leaves_nothing(storage: LocalStorage, cache: Path) -> None:
    with pytest.raises(NotFoundError, match=f"{B} were never copied .* there are: {A[:12]}$"):
        fetch_modules(storage, "flowers", B)
    assert not cache.exists()


@pytest.mark.parametrize(
    "path", ["../model.py", "/etc/model.py", "a/../../b.py", "a//b.py", "", ".", "a/.git/x", "x\n"]
)
def test_a_path_that_leads_out_of_the_folder_is_refused(storage: LocalStorage, cache: Path, path: str) -> None:
    modules = read_modules(storage, A)
    spoiled = modules.model_copy(update={"files": [*modules.files, ModuleFile(path=path, size=0, sha256="")]})
    storage.write(layout.modules(A, layout.MODULES_RECORD), spoiled.to_json())
    with pytest.raises(DataError, match="is no path in a pipeline's folder"):
        fetch_modules(storage, "flowers", A)
    assert not cache.exists()


def test_modules_of_another_pipeline_or_revision_are_refused(storage: LocalStorage, cache: Path) -> None:
    with pytest.raises(DataError, match="those of flowers"):
        fetch_modules(storage, "roses", A)
    storage.write(layout.modules(B, layout.MODULES_RECORD), read_modules(storage, A).to_json())
    with pytest.raises(DataError, match=f"those of flowers at {A}"):
        fetch_modules(storage, "flowers", B)


def test_modules_damaged_in_storage_are_told_and_not_used(storage: LocalStorage, cache: Path) -> None:
    storage.write(layout.modules(A, "model.py"), b"depth = 9\n")
    with pytest.raises(DataError, match=r"model\.py is not what was copied"):
        fetch_modules(storage, "flowers", A)
    assert not (cache / A / "flowers").exists()


def test_a_cache_that_cannot_be_written_is_told_in_one_line(storage: LocalStorage, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in its place")
    with pytest.raises(StorageError, match="can't keep modules in") as raised:
        fetch_modules(storage, "flowers", A)
    assert "\n" not in str(raised.value)
