"""Claims and processed revisions: one holder for each, whatever dies or races."""

from __future__ import annotations

import multiprocessing
from datetime import timedelta
from pathlib import Path

import pytest

from ml.ci_cd.names import is_revision
from ml.ci_cd.records import ProcessedRevision, RevisionClaim, Scope, Shipped
from ml.ci_cd.revisions import all_processed, claim, claimed, claims, processed, record_processed, shipped, take_over
from ml.cli import run
from ml.errors import ConflictError, NotFoundError, SettingsError
from ml.home import pipeline_storage
from ml.names import safe_id
from ml.records import now
from ml.storage.local import LocalStorage
from tests.unit.data.killing import killed_at, overtaken

A, B = "a" * 40, "b" * 64
NOW = now()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root)


def record(revision: str, *, run: str = "r1", later: int = 0, branch: str = "main") -> ProcessedRevision:
    at = NOW + timedelta(seconds=later)
    return ProcessedRevision(branch=branch, revision=revision, scope=Scope.MODULES, run=run, at=at)


def test_the_first_run_that_claims_a_revision_holds_it(storage: LocalStorage) -> None:
    assert claimed(storage, A) is None
    first = claim(storage, A, run="r1")
    assert first.run == "r1"
    assert claim(storage, A, run="r2") == first
    assert claim(storage, A, run="r1") == first
    assert claimed(storage, A) == first
    assert claim(storage, B, run="r2").run == "r2"
    assert {revision: held.run for revision, held in claims(storage)} == {A: "r1", B: "r2"}


def test_a_revision_is_taken_over_from_its_holder_and_from_nobody_else(storage: LocalStorage) -> None:
    with pytest.raises(NotFoundError, match="nobody has claimed"):
        take_over(storage, A, run="r2", from_run="r1")
    claim(storage, A, run="r1")
    taken = take_over(storage, A, run="r2", from_run="r1")
    assert taken.run == "r2"
    assert take_over(storage, A, run="r2", from_run="r1") == taken == claim(storage, A, run="r1")
    with pytest.raises(ConflictError, match="held by r2, no longer by r1"):
        take_over(storage, A, run="r3", from_run="r1")


def test_of_two_that_take_over_at_once_one_does(root: Path, storage: LocalStorage) -> None:
    claim(storage, A, run="r1")
    path = root / "revisions" / A / "claim.json"

    def slow() -> None:
        with pytest.raises(ConflictError):
            take_over(storage, A, run="slow", from_run="r1")

    overtaken(slow, "open", root / ".respan-tmp" / "lock", lambda: _replaced(path, "fast"))
    assert claimed(storage, A) == RevisionClaim(run="fast", since=NOW)


def _replaced(path: Path, run: str) -> None:
    path.with_suffix(".new").write_bytes(RevisionClaim(run=run, since=NOW).to_json())
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("operation", range(1, 12))
def test_a_kill_at_any_moment_leaves_a_claim_of_this_run_or_none(
    root: Path, storage: LocalStorage, operation: int
) -> None:
    killed_at(lambda: claim(storage, A, run="r1"), operation, root)
    assert claimed(storage, A) in (None, claim(storage, A, run="r1"))
    killed_at(lambda: take_over(storage, A, run="r2", from_run="r1"), operation, root)
    assert claim(storage, A, run="r1").run in ("r1", "r2")
    assert take_over(storage, A, run="r2", from_run="r1").run == "r2"


@pytest.mark.parametrize("operation", range(1, 12))
def test_a_kill_at_any_moment_leaves_the_branch_with_the_old_record_or_the_new(
    root: Path, storage: LocalStorage, operation: int
) -> None:
    record_processed(storage, record(A))
    killed_at(lambda: record_processed(storage, record(B, later=1)), operation, root)
    assert processed(storage, "main") in (record(A), record(B, later=1))
    assert record_processed(storage, record(B, later=1)) == processed(storage, "main") == record(B, later=1)


def _claim_all(root: str, run: str, start: str) -> None:
    while not Path(start).exists():
        pass
    for number in range(50):
        claim(LocalStorage(Path(root)), f"{number:040x}", run=run)
        record_processed(LocalStorage(Path(root)), record(f"{number:040x}", run=run, later=number))


def test_two_processes_at_once_agree_on_each_holder_and_on_the_newest(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = tmp_path / "start"
    both = [context.Process(target=_claim_all, args=(str(root), run, str(start))) for run in ("r1", "r2")]
    for process in both:
        process.start()
    start.touch()
    for process in both:
        process.join()
        assert process.exitcode == 0
    held = dict(claims(LocalStorage(root)))
    assert len(held) == 50
    assert {claim.run for claim in held.values()} <= {"r1", "r2"}
    newest = processed(LocalStorage(root), "main")
    assert newest is not None
    assert newest.revision == f"{49:040x}"


def test_what_was_processed_is_kept_for_each_branch(storage: LocalStorage) -> None:
    assert processed(storage, "main") is None
    record_processed(storage, record(A))
    record_processed(storage, record(B, branch="feature/ä"))
    assert processed(storage, "main") == record(A)
    assert processed(storage, "feature/ä") == record(B, branch="feature/ä")
    assert [found.branch for found in all_processed(storage)] == ["feature/ä", "main"]


def test_a_repeat_by_the_same_run_keeps_the_first_record(storage: LocalStorage) -> None:
    first = record_processed(storage, record(A))
    assert record_processed(storage, record(A, later=60)) == first == processed(storage, "main")


def test_a_record_that_was_made_earlier_never_replaces_a_later_one(storage: LocalStorage) -> None:
    newer = record_processed(storage, record(B, run="r2", later=5))
    assert record_processed(storage, record(A, run="r1", later=4)) == newer == processed(storage, "main")


def test_an_earlier_record_that_is_overtaken_while_it_is_written_gives_way(root: Path, storage: LocalStorage) -> None:
    record_processed(storage, record(A))
    path = next((root / "revisions" / "branches").iterdir())
    newest = record(B, run="r2", later=9)

    def overtake() -> None:
        path.with_suffix(".new").write_bytes(newest.to_json())
        path.with_suffix(".new").replace(path)

    overtaken(
        lambda: record_processed(storage, record("c" * 40, later=5)), "open", root / ".respan-tmp" / "lock", overtake
    )
    assert processed(storage, "main") == newest


def test_an_older_revision_that_ends_last_is_what_the_next_change_is_compared_with(storage: LocalStorage) -> None:
    record_processed(storage, record(B, run="r2", later=5))
    cleared = record_processed(storage, record(A, run="r1", later=9))
    assert processed(storage, "main") == cleared


def test_a_branch_that_is_named_like_anothers_identifier_has_a_record_of_its_own(storage: LocalStorage) -> None:
    record_processed(storage, record(A, later=5))
    twin = safe_id("main")
    assert processed(storage, twin) is None
    record_processed(storage, record(B, branch=twin))
    assert processed(storage, twin) == record(B, branch=twin)


@pytest.mark.parametrize("revision", ["", "main", "A" * 40, "a" * 39, "a" * 40 + "\n", "../" + "a" * 37, "--x"])
def test_only_a_full_commit_id_is_a_revision(storage: LocalStorage, revision: str) -> None:
    for use in (
        lambda: claim(storage, revision, run="r"),
        lambda: claimed(storage, revision),
        lambda: take_over(storage, revision, run="r", from_run="s"),
        lambda: record_processed(storage, record(revision)),
    ):
        with pytest.raises(SettingsError, match="is no revision"):
            use()
    assert not is_revision(revision)


@pytest.mark.parametrize("branch", ["", "-x", "a..b", "a b", "a\nb", "a/.b", "x.lock", "@{u}"])
def test_only_what_git_takes_for_a_branch_is_one(storage: LocalStorage, branch: str) -> None:
    with pytest.raises(SettingsError, match="can't name a branch"):
        processed(storage, branch)


def test_the_command_lists_branches_claims_and_what_was_shipped(
    respan_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ci-cd", "list", "image_classification"]) == 0
    assert capsys.readouterr().out == "no revision was processed yet\n"
    storage = pipeline_storage("image_classification")
    claim(storage, A, run="first run")
    record_processed(storage, record(A))
    storage.write("modules/shipped.json", Shipped(revision=A, at=NOW).to_json())
    assert shipped(storage) == Shipped(revision=A, at=NOW)
    assert run(["ci-cd", "list", "image_classification"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["processed", "shipped", "claimed"]
    assert lines[0].endswith("modules  main")
    assert lines[2].endswith("by first run")
    assert run(["ci-cd", "list", "image_classification", "--json"]) == 0
    assert f'"revision": "{A}", "run": "first run"' in capsys.readouterr().out
