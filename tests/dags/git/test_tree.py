"""Trees that are not checked out, each with the reason."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path

import pytest
from respan.git import ensure_checkout, tree
from respan.git.tree import check_links

from ml.errors import DataError
from tests.dags.git.repositories import Repository, git, settings


@pytest.fixture(autouse=True)
def _own_home(respan_home: Path) -> None:
    """Mirrors and workspaces of this test alone."""


def refusal(repository: Repository, revision: str, home: Path) -> str:
    with pytest.raises(DataError) as raised:
        ensure_checkout(settings(repository.bare), "run", revision, None)
    assert not list((home / "ci_cd" / "tried").glob("*/source"))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_submodule_names_its_path_and_what_to_do(repository: Repository, respan_home: Path) -> None:
    revision = repository.push({"a": "1"})
    git("update-index", "--add", "--cacheinfo", f"160000,{revision},libs/other", cwd=repository.work)
    message = refusal(repository, repository.push_staged(), respan_home)
    assert message.startswith("libs/other is a submodule")
    assert "commit its files" in message


def test_a_link_that_leads_outside_is_refused_and_the_next_push_works(
    repository: Repository, respan_home: Path
) -> None:
    (repository.work / "b").mkdir()
    (repository.work / "b" / "link").symlink_to("../../secret")
    message = refusal(repository, repository.push({}), respan_home)
    assert message.startswith("b/link is a symbolic link that leads outside the repository, to ../../secret")
    (repository.work / "b" / "link").unlink()
    (repository.work / "b" / "link").symlink_to("../a")
    made = ensure_checkout(settings(repository.bare), "run", repository.push({"a": "1"}), None)
    assert (made.path / "b" / "link").read_text() == "1"


@pytest.mark.parametrize(
    ("links", "outside"),
    [
        ({"a": "/etc/passwd"}, True),
        ({"a": ".."}, True),
        ({"a/b": "../.."}, True),
        ({"a": "b/../../x", "b": "c/d"}, False),
        ({"a": "b/../../../x", "b": "c/d"}, True),
        ({"a": "b", "b": "c", "c": "../x"}, True),
        ({"d/up": "..", "d/a": "up/up/x"}, False),
        ({"d/up": "..", "d/a": "up/../x"}, True),
        ({"a": "b", "b": "a"}, False),
        ({"a": "dangling/./x//y"}, False),
        ({"a/b": ".."}, False),
    ],
)
def test_where_links_lead_by_themselves_and_through_others(links: dict[str, str], outside: bool) -> None:
    as_bytes = {path.encode(): target.encode() for path, target in links.items()}
    if outside:
        with pytest.raises(DataError, match="leads outside"):
            check_links(as_bytes)
    else:
        check_links(as_bytes)


@pytest.mark.parametrize("name", [".git", ".GIT", ".g\u200cit", "git~1", ".."])
def test_gits_own_names_in_any_spelling_are_refused(repository: Repository, respan_home: Path, name: str) -> None:
    """git itself makes no such tree, so this one is written byte by byte."""
    inner = git("mktree", cwd=repository.bare, stdin=b"")
    content = f"40000 {name}\0".encode() + bytes.fromhex(inner)
    written = write_object(repository.bare, "tree", content)
    revision = git("commit-tree", written, "-m", "bad", cwd=repository.bare)
    git("update-ref", "refs/heads/main", revision, cwd=repository.bare)
    assert "holds an object that git refuses" in refusal(repository, revision, respan_home)


def test_a_revision_larger_than_the_limit(
    repository: Repository, respan_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MOST_BYTES", 3 << 20)
    (repository.work / "large.bin").write_bytes(os.urandom(3 << 20))
    revision = repository.push({"a": "1"})
    assert "larger than 3 MiB in all, at large.bin" in refusal(repository, revision, respan_home)


def write_object(bare: Path, kind: str, content: bytes) -> str:
    whole = f"{kind} {len(content)}\0".encode() + content
    name = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    file = bare / "objects" / name[:2] / name[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(zlib.compress(whole))
    return name
