"""The mirror: shared by processes, killed at any moment, damaged, and kept small."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from respan.git import ensure_checkout, mirror

from ml.errors import NotFoundError
from tests.dags.git.http_server import GitServer, serving, serving_files
from tests.dags.git.repositories import Repository, git, settings

PROJECT = Path(__file__).resolve().parent.parent.parent.parent

CHECK_OUT = """
import sys
from respan.git import ensure_checkout
from tests.dags.git.repositories import settings
remote, run, revision = sys.argv[1:]
made = ensure_checkout(settings(remote), run, revision, None)
print(made.content([""]))
"""


@pytest.fixture(autouse=True)
def _own_home(respan_home: Path) -> None:
    """Mirrors and workspaces of this test alone."""


def start(remote: str | Path, run: str, revision: str) -> subprocess.Popen[str]:
    """A process that checks out and prints what it got."""
    return subprocess.Popen(
        [sys.executable, "-c", CHECK_OUT, str(remote), run, revision],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def the_mirror(home: Path) -> Path:
    (found,) = (home / "ci_cd" / "mirrors").glob("*.git")
    return found


def fill(repository: Repository, files: int = 300) -> str:
    return repository.push({f"folder{n % 20}/file{n}": f"{n} {random.random()}\n" * 20 for n in range(files)})


def same_files(repository: Repository, checkout: Path) -> bool:
    """Whether the checkout holds just the files of the person's clone."""
    return subprocess.run(["diff", "-r", "-x", ".git", repository.work, checkout], check=False).returncode == 0


@pytest.mark.slow
def test_two_processes_at_once_share_one_mirror(repository: Repository, respan_home: Path) -> None:
    revision = fill(repository)
    runs = [start(repository.bare, f"run {n}", revision) for n in range(2)] + [
        start(repository.bare, "run 0", revision)
    ]
    printed = {run.communicate(timeout=120)[0].splitlines()[-1] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(printed) == 1
    git("fsck", "--strict", cwd=the_mirror(respan_home))


def test_a_revision_is_fetched_once_and_alone(repository: Repository) -> None:
    first = repository.push({"a": "1"})
    second = repository.push({"a": "2"})
    with serving(GitServer(repository.bare.parent)) as server:
        tried = settings(f"{server.url}/remote.git")
        ensure_checkout(tried, "1", second, first)
        asked = len(server.requests)
        ensure_checkout(tried, "2", second, first)
        ensure_checkout(tried, "3", first, None)
    assert len(server.requests) == asked


def test_the_mirror_holds_no_history_and_no_address(repository: Repository, respan_home: Path) -> None:
    repository.push({"secret": "in the past"})
    revision = repository.push({"secret": None, "a": "1"})
    ensure_checkout(settings(repository.bare), "run", revision, None)
    assert git("rev-list", "--all", cwd=the_mirror(respan_home)).split() == [revision]
    assert all(
        str(repository.bare).encode() not in f.read_bytes() for f in the_mirror(respan_home).rglob("*") if f.is_file()
    )


@pytest.mark.slow
def test_killed_at_any_moment_and_repeated_the_checkout_is_whole(repository: Repository, respan_home: Path) -> None:
    for attempt in range(8):
        revision = fill(repository, 2_000)
        killed = start(repository.bare, f"run {attempt}", revision)
        wait_for_git(respan_home, killed)
        time.sleep(attempt * 0.05)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        again = start(repository.bare, f"run {attempt}", revision)
        printed, _ = again.communicate(timeout=120)
        assert again.returncode == 0
        made = ensure_checkout(settings(repository.bare), f"run {attempt}", revision, None)
        assert printed.splitlines()[-1] == made.content([""])
        assert same_files(repository, made.path)
        assert not list(made.path.parent.glob("making-*"))
    assert not list(the_mirror(respan_home).rglob("tmp_*"))
    assert not list(the_mirror(respan_home).rglob("*.lock"))


def wait_for_git(home: Path, process: subprocess.Popen[str]) -> None:
    """Until the process has taken the mirror's lock, or is done."""
    while process.poll() is None and not list((home / "ci_cd").glob("mirrors/*.lock")):
        time.sleep(0.001)


@pytest.mark.slow
def test_a_fetch_that_is_killed_while_the_server_answers_ends_and_can_be_repeated(
    repository: Repository, respan_home: Path
) -> None:
    revision = fill(repository)
    with serving(GitServer(repository.bare.parent, hold=threading.Event())) as server:
        url = f"{server.url}/remote.git"
        killed = start(url, "run", revision)
        assert server.asked.wait(60)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert server.hold is not None
        server.hold.set()
        made = ensure_checkout(settings(url), "run", revision, None)
    assert same_files(repository, made.path)


def test_what_killed_git_left_is_removed(repository: Repository, respan_home: Path) -> None:
    first = repository.push({"a": "1"})
    ensure_checkout(settings(repository.bare), "1", first, None)
    folder = the_mirror(respan_home)
    second = repository.push({"a": "2"})
    left = [
        folder / "shallow.lock",
        folder / "packed-refs.lock",
        folder / "refs" / "respan" / f"{second}.lock",
        folder / "objects" / "pack" / "tmp_pack_x",
    ]
    for path in left:
        path.write_text("")
    left.append(folder.with_name(f"{folder.name}.half-made"))
    (left[-1] / "objects").mkdir(parents=True)
    made = ensure_checkout(settings(repository.bare), "2", second, None)
    assert (made.path / "a").read_text() == "2"
    assert [path for path in left if path.exists()] == []
    assert git("rev-parse", f"refs/respan/{first}", cwd=folder) == first, "the mirror was made anew"


@pytest.mark.parametrize("what", ["HEAD", "objects", "pack", "reference", "config"])
def test_a_damaged_mirror_is_made_anew(
    repository: Repository, respan_home: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    revision = repository.push({"a": "1", "b": "2"})
    ensure_checkout(settings(repository.bare), "1", revision, None)
    folder = the_mirror(respan_home)
    if what == "HEAD":
        (folder / "HEAD").unlink()
    elif what == "objects":
        (folder / "objects").rename(folder / "moved")
    elif what == "reference":
        (folder / "refs" / "respan" / revision).write_text("")
    elif what == "config":
        (folder / "config").write_text("[core\n")
    else:
        (pack,) = (folder / "objects" / "pack").glob("*.pack")
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:-40])
    made = ensure_checkout(settings(repository.bare), "2", revision, None)
    assert same_files(repository, made.path)
    git("fsck", "--strict", cwd=the_mirror(respan_home))


def test_a_mirror_keeps_the_last_used_revisions_only(
    repository: Repository, respan_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "KEPT_REVISIONS", 2)
    revisions = [repository.push({"a": f"content {n}"}) for n in range(5)]
    for number, revision in enumerate(revisions):
        ensure_checkout(settings(repository.bare), f"run {number}", revision, None)
        time.sleep(0.01)
        if number:  # the first one stays in use
            ensure_checkout(settings(repository.bare), f"another {number}", revisions[0], None)
    folder = the_mirror(respan_home)
    kept = {name.rpartition("/")[2] for name in git("for-each-ref", "--format=%(refname)", cwd=folder).split()}
    assert kept == {revisions[0], revisions[4]}
    assert {mark.name for mark in (folder / "used").iterdir()} == kept
    assert int(git("count-objects", "-v", cwd=folder).split("in-pack: ")[1].split()[0]) == 6
    made = ensure_checkout(settings(repository.bare), "again", revisions[1], revisions[0])
    assert made.changed == ["a"]


@pytest.mark.parametrize("kind", ["an old server", "plain files"])
def test_servers_that_give_out_no_single_commits(repository: Repository, kind: str) -> None:
    first = repository.push({"a": "1"})
    second = repository.push({"b": "1"})
    git("update-server-info", cwd=repository.bare)
    if kind == "an old server":
        with serving(GitServer(repository.bare.parent, protocol=False)) as server:
            check_both(f"{server.url}/remote.git", first, second)
    else:
        with serving_files(repository.bare.parent) as url:
            check_both(f"{url}/remote.git", first, second)


def check_both(url: str, first: str, second: str) -> None:
    made = ensure_checkout(settings(url), "run", second, first)
    assert made.changed == ["b"]
    with pytest.raises(NotFoundError, match="0000 "):
        ensure_checkout(settings(url), "run", "0" * 40, None)


@pytest.mark.slow
def test_fifty_thousand_changed_files(repository: Repository) -> None:
    first = repository.push({"a": "1"})
    lines = (f"M 100644 inline many/{n % 100}/file{n}\ndata 2\n{n % 10}\n\n" for n in range(50_000))
    stream = f"commit refs/heads/main\ncommitter A <a@localhost> 0 +0000\ndata 1\nx\nfrom {first}\n{''.join(lines)}"
    git("fast-import", "--quiet", cwd=repository.bare, stdin=stream.encode())
    second = git("rev-parse", "main", cwd=repository.bare)
    made = ensure_checkout(settings(repository.bare), "run", second, first)
    assert made.changed is not None
    assert len(made.changed) == 50_000
    assert sum(1 for file in (made.path / "many").rglob("file*")) == 50_000
    assert ensure_checkout(settings(repository.bare), "run", second, first).changed == made.changed
