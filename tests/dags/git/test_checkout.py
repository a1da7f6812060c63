"""The checkout of one revision: what is in it, what it costs, and what it survives."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from respan.git import Checkout, ensure_checkout, remove_workspace
from respan.git.workspace import STALE_SECONDS

from ml.errors import NotFoundError, RemoteError, SettingsError
from tests.dags.git.repositories import Repository, git, settings

RUN = "manual__2026-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def _own_home(respan_home: Path) -> None:
    """Mirrors and workspaces of this test alone."""


def checkout(repository: Repository, revision: str, previous: str | None = None, run: str = RUN) -> Checkout:
    return ensure_checkout(settings(repository.bare), run, revision, previous)


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir()}


def test_the_checkout_holds_the_revisions_files_and_nothing_of_gits(repository: Repository) -> None:
    first = repository.push({"a.py": "1", "b/c.py": "2"})
    repository.push({"a.py": "newer"})
    made = checkout(repository, first)
    assert files(made.path) == {"a.py", "b/c.py"}
    assert (made.path / "a.py").read_text() == "1"
    assert (made.revision, made.changed, made.path.name) == (first, None, "source")


def test_changed_are_all_paths_that_differ_renamed_ones_with_both_names(repository: Repository) -> None:
    first = repository.push({"a.py": "1", "old name.py": "some text", "gone.py": "x", "same.py": ""})
    second = repository.push({"a.py": "2", "old name.py": None, "new\nnäme.py": "some text", "gone.py": None})
    made = checkout(repository, second, first)
    assert made.changed == ["a.py", "gone.py", "new\nnäme.py", "old name.py"]
    assert checkout(repository, second, second, "again").changed == []


def test_several_pushes_are_one_change_from_the_previous_revision_to_the_newest(repository: Repository) -> None:
    first = repository.push({"a": "1"})
    repository.push({"b": "1"})
    assert checkout(repository, repository.push({"c": "1"}), first).changed == ["b", "c"]


def test_names_that_are_not_utf8_can_be_told_and_hashed(repository: Repository) -> None:
    first = repository.push({"a": "1"})
    (repository.work / os.fsdecode(b"caf\xe9.py")).write_text("1")
    second = repository.push({})
    made = checkout(repository, second, first)
    assert made.changed is not None
    assert len(made.changed) == 1
    made.changed[0].encode("utf-8")
    assert made.content([""]) != checkout(repository, first, None, "other").content([""])


def test_a_second_call_asks_neither_git_nor_the_remote(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    first = repository.push({"a": "1"})
    second = repository.push({"a": "2"})
    made = checkout(repository, second, first)
    monkeypatch.setenv("PATH", "/nowhere")
    again = checkout(repository, second, first)
    assert again == made
    assert again.content([""]) == made.content([""])


def test_another_run_uses_the_mirror_also_when_the_remote_is_gone(repository: Repository) -> None:
    first = repository.push({"a": "1"})
    second = repository.push({"a": "2"})
    checkout(repository, second, first)
    repository.bare.rename(repository.bare.with_name("moved.git"))
    again = checkout(repository, second, first, "another run")
    assert (again.path / "a").read_text() == "2"
    assert again.changed == ["a"]
    with pytest.raises(RemoteError, match="is no git repository"):
        checkout(repository, "0" * 40, None, "a third run")


def test_a_file_that_a_step_changed_or_deleted_is_as_it_was_in_the_next_step(repository: Repository) -> None:
    revision = repository.push({"a": "12345", "b/c": "1"})
    made = checkout(repository, revision)
    before = (made.path / "a").stat()
    (made.path / "a").write_text("54321")
    os.utime(made.path / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (checkout(repository, revision).path / "a").read_text() == "12345"
    (made.path / "b" / "c").unlink()
    (made.path / "b").rmdir()
    assert (checkout(repository, revision).path / "b" / "c").exists()


def test_a_cache_that_a_step_left_beside_the_files_is_no_reason_to_start_again(repository: Repository) -> None:
    revision = repository.push({"a": "1"})
    cache = checkout(repository, revision).path / "__pycache__"
    cache.mkdir()
    checkout(repository, revision)
    assert cache.exists()


def test_a_run_that_takes_another_revision_gets_that_one(repository: Repository) -> None:
    first = repository.push({"a": "1"})
    second = repository.push({"b": "2"})
    assert checkout(repository, first).changed is None
    made = checkout(repository, second, first)
    assert files(made.path) == {"a", "b"}
    assert made.changed == ["b"]


def test_content_changes_with_the_files_below_the_paths_and_with_nothing_else(repository: Repository) -> None:
    first = checkout(repository, repository.push({"ml/a.py": "1", "mlx": "1", "pyproject.toml": "1"}))
    other = checkout(repository, repository.push({"mlx": "2", "docs": "1"}), None, "2")
    assert first.content(["ml", "absent"]) == other.content(["absent", "ml"])
    assert first.content(["ml"]) != first.content(["ml", "absent"])
    assert first.content([""]) != other.content([""])
    changed = checkout(repository, repository.push({"ml/a.py": "2"}), None, "3")
    assert changed.content(["ml"]) != first.content(["ml"])
    (repository.work / "ml/a.py").chmod(0o755)
    executable = checkout(repository, repository.push({}), None, "4")
    assert executable.content(["ml"]) != changed.content(["ml"])


def test_a_forced_push_leaves_what_changed_known_as_long_as_the_remote_has_the_old_revision(
    repository: Repository,
) -> None:
    base = repository.push({"a": "1"})
    dropped = repository.push({"b": "1"})
    git("reset", "-q", "--hard", base, cwd=repository.work)
    newest = repository.push({"c": "1"}, force=True)
    assert checkout(repository, newest, dropped).changed == ["b", "c"]


def test_a_previous_revision_that_the_remote_forgot_leaves_what_changed_unknown(repository: Repository) -> None:
    base = repository.push({"a": "1"})
    dropped = repository.push({"b": "1"})
    git("reset", "-q", "--hard", base, cwd=repository.work)
    newest = repository.push({"c": "1"}, force=True)
    repository.forget()
    made = checkout(repository, newest, dropped)
    assert made.changed is None
    assert made.changed_file is not None
    assert made.changed_file.read_text() == "null"
    assert files(made.path) == {"a", "c"}
    with pytest.raises(NotFoundError, match=f"has no commit {dropped}"):
        checkout(repository, dropped, None, "another run")


def test_a_tree_is_no_revision(repository: Repository) -> None:
    repository.push({"a": "1"})
    with pytest.raises(NotFoundError, match="is no commit"):
        checkout(repository, git("rev-parse", "HEAD^{tree}", cwd=repository.work))
    with pytest.raises(SettingsError, match="is no revision"):
        checkout(repository, "main")


def test_a_repository_with_sha256_objects(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "long", object_format="sha256")
    first = repository.push({"a": "1"})
    assert checkout(repository, repository.push({"b": "1"}), first).changed == ["b"]


def test_nothing_in_the_repository_runs_or_is_filtered(repository: Repository, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\n"
    made = checkout(repository, repository.push({".gitattributes": "* filter=lfs export-ignore\n", "a.bin": pointer}))
    assert (made.path / "a.bin").read_text() == pointer
    assert (made.path / ".gitattributes").exists()


def test_a_removed_workspace_leaves_nothing_and_removing_it_again_is_no_error(
    repository: Repository, respan_home: Path
) -> None:
    made = checkout(repository, repository.push({"a/b": "1"}))
    (made.path / "a").chmod(0o500)
    remove_workspace("tried", RUN)
    remove_workspace("tried", RUN)
    assert {path.name for path in (respan_home / "ci_cd" / "tried").iterdir()} == {"lock"}


def test_workspaces_that_killed_runs_left_are_removed_after_a_week(repository: Repository) -> None:
    revision = repository.push({"a": "1"})
    old, recent = checkout(repository, revision, None, "old"), checkout(repository, revision, None, "recent")
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(old.path.parent, (long_ago, long_ago))
    checkout(repository, revision)
    assert not old.path.parent.exists()
    assert recent.path.exists()


def test_a_pipeline_without_a_remote_is_told_which_setting(repository: Repository) -> None:
    without = settings("/x").model_copy(update={"ci_cd": settings("/x").ci_cd.model_copy(update={"remote": None})})
    with pytest.raises(SettingsError, match=r"ci_cd\.remote"):
        ensure_checkout(without, RUN, "0" * 40, None)
