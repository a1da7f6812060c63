"""A pipeline's folder at a revision, copied to storage: whole or not there, and never changed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ml import layout
from ml.ci_cd.modules import MOST_BYTES, MOST_FILES, copied_revisions, copy_modules, read_modules
from ml.ci_cd.records import Modules, Scope, Shipped
from ml.ci_cd.revisions import shipped
from ml.errors import ConflictError, DataError, NotFoundError, SettingsError
from ml.storage.local import TEMPORARY, LocalStorage
from tests.unit.ci_cd.module_folders import A, B, write_folder
from tests.unit.data.killing import killed_at

IMAGE, OTHER_IMAGE = "registry.example/respan@sha256:1", "registry.example/respan@sha256:2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "checkout" / "flowers")


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage").child("flowers")


def copy(
    storage: LocalStorage, folder: Path, revision: str = A, scope: Scope = Scope.MODULES, image: str | None = None
) -> Modules:
    return copy_modules(storage, "flowers", folder, revision, scope, image)


def stored(storage: LocalStorage) -> dict[str, bytes]:
    return {info.name: storage.read(info.name) for info in storage.list()}


def test_the_folder_is_copied_without_tests_hidden_files_and_bytecode(storage: LocalStorage, folder: Path) -> None:
    modules = copy(storage, folder, scope=Scope.WHOLE, image=IMAGE)
    assert [file.path for file in modules.files] == [
        "graph.json",
        "layers/attention.py",
        "model.py",
        "settings.py",
        "settings.yaml",
    ]
    for file in modules.files:
        content = storage.read(layout.modules(A, file.path))
        assert content == (folder / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert len(list(storage.list(layout.modules(A)))) == 6
    assert read_modules(storage, A) == modules
    assert (modules.pipeline, modules.revision, modules.scope, modules.image) == ("flowers", A, Scope.WHOLE, IMAGE)
    assert shipped(storage) == Shipped(revision=A, at=modules.at)


def test_a_repeat_changes_nothing(storage: LocalStorage, folder: Path) -> None:
    first = copy(storage, folder, image=IMAGE)
    before = list(storage.list())
    (folder / "model_test.py").write_text("a test that changed is no other content")
    assert copy(storage, folder, image=IMAGE) == first
    assert copy(storage, folder) == first
    assert list(storage.list()) == before


@pytest.mark.parametrize("change", ["edited", "added", "removed"])
def test_other_content_under_the_same_revision_is_refused(storage: LocalStorage, folder: Path, change: str) -> None:
    copy(storage, folder)
    before = stored(storage)
    if change == "removed":
        (folder / "model.py").unlink()
    else:
        (folder / ("model.py" if change == "edited" else "new.py")).write_text("other = 1\n")
    with pytest.raises(ConflictError, match="new.py differs" if change == "added" else "model.py differs"):
        copy(storage, folder)
    assert stored(storage) == before


def test_an_image_is_recorded_later_but_never_replaced(storage: LocalStorage, folder: Path) -> None:
    copy(storage, folder)
    completed = copy(storage, folder, scope=Scope.WHOLE, image=IMAGE)
    assert (completed.image, completed.scope) == (IMAGE, Scope.WHOLE)
    assert read_modules(storage, A) == completed
    with pytest.raises(ConflictError, match=r"sha256:1.*sha256:2"):
        copy(storage, folder, image=OTHER_IMAGE)


def test_an_empty_image_is_none(storage: LocalStorage, folder: Path) -> None:
    assert copy(storage, folder, image="").image is None


def _link_to_file(folder: Path) -> None:
    (folder / "secret.py").symlink_to("/etc/passwd")


def _link_to_folder(folder: Path) -> None:
    (folder / "elsewhere").symlink_to("/etc")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.py")


def _own_record(folder: Path) -> None:
    (folder / "modules.json").write_text("{}")


def _no_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.py")).write_text("")


def _line_break(folder: Path) -> None:
    (folder / "two\nlines.py").write_text("")


def _too_many(folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(MOST_FILES):
        (folder / "many" / f"{number}.py").touch()


def _too_large(folder: Path) -> None:
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(MOST_BYTES)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_link_to_file, "secret.py is a symbolic link"),
        (_link_to_folder, "elsewhere is a symbolic link"),
        (_pipe, "pipe.py is no plain file"),
        (_own_record, "'modules.json', which modules can't have"),
        (_no_utf8, "which modules can't have"),
        (_line_break, r"'two\\nlines.py'"),
        (_too_many, "more than 2,000 files"),
        (_too_large, "more than 100 MiB"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_cannot_be_modules_is_refused_and_nothing_is_copied(
    storage: LocalStorage, folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=told) as raised:
        copy(storage, folder)
    assert "\n" not in str(raised.value)
    assert list(storage.list()) == []


def test_a_folder_without_settings_is_no_pipelines(storage: LocalStorage, folder: Path) -> None:
    (folder / "settings.yaml").unlink()
    with pytest.raises(NotFoundError, match=r"no settings\.yaml"):
        copy(storage, folder)


@pytest.mark.parametrize("revision", ["main", "../" * 13 + "x", A[:39], A + "\n", ""])
def test_only_a_full_commit_id_is_a_revision(storage: LocalStorage, folder: Path, revision: str) -> None:
    with pytest.raises(SettingsError, match="is no revision"):
        copy(storage, folder, revision)
    with pytest.raises(SettingsError, match="is no revision"):
        read_modules(storage, revision)


def test_a_revision_that_was_never_copied_is_told_with_those_that_were(storage: LocalStorage, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="there are: none"):
        read_modules(storage, A)
    copy(storage, folder)
    storage.write(layout.modules("c" * 40, "model.py"), b"half a copy")
    assert copied_revisions(storage) == [A]
    with pytest.raises(NotFoundError, match=f"{B}.*there are: {A[:12]}$"):
        read_modules(storage, B)


def test_the_retry_of_an_older_revision_does_not_push_aside_a_newer_one(storage: LocalStorage, folder: Path) -> None:
    older = copy(storage, folder)
    newer = Shipped(revision=B, at=older.at + timedelta(seconds=1))
    storage.write(layout.SHIPPED, newer.to_json())
    copy(storage, folder)
    assert shipped(storage) == newer


def test_a_revision_copied_after_another_is_the_shipped_one(storage: LocalStorage, folder: Path) -> None:
    copy(storage, folder)
    copy(storage, folder, B)
    found = shipped(storage)
    assert found is not None
    assert found.revision == B


def test_a_copy_killed_anywhere_is_finished_by_its_repeat(tmp_path: Path, folder: Path) -> None:
    """With another revision shipped before, which stays the shipped one until the new one is whole."""
    expected = {f"modules/{A}/{name}" for name in ("graph.json", "layers/attention.py", "model.py", "settings.py")}
    expected |= {f"modules/{A}/settings.yaml", f"modules/{A}/modules.json"}
    for operation in range(1, 1_000):
        root = tmp_path / f"killed-{operation}"
        storage = LocalStorage(root)
        copy(storage, folder, B)
        killed = killed_at(lambda storage=storage: copy(storage, folder), operation, root)  # type: ignore[misc]
        names = {info.name for info in storage.list(layout.modules(A))}
        current = shipped(storage)
        assert current is not None
        assert current.revision == B or names == expected
        assert storage.exists(layout.modules(A, "modules.json")) == (names == expected)
        modules = copy(storage, folder)
        assert {info.name for info in storage.list(layout.modules(A))} == expected
        assert shipped(storage) == Shipped(revision=A, at=modules.at)
        assert not [left for left in root.iterdir() if left.name not in ("modules", TEMPORARY)]
        shutil.rmtree(root)
        if not killed:
            assert operation > 15, "the copy hardly touches storage: this test proves nothing"
            return
