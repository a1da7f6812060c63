"""What code under test finds around it, how its end is told, and what it can't take."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.unit.ci_cd.callers import Caller


def test_code_under_test_has_a_clean_environment_and_folders_of_its_own(caller: Caller) -> None:
    outcome = caller.run("surroundings")
    assert "hunter2" not in outcome["output"]
    found = json.loads(outcome["output"])
    assert found["kernel"] == ""
    sandbox = caller.folder / "sandbox"
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "RESPAN_HOME"):
        assert Path(found["environment"][name]).is_relative_to(sandbox), name
    assert found["environment"]["RESPAN_STORAGE"].startswith(f"file://{sandbox}/")
    assert found["environment"]["RESPAN_PIPELINES"] == str(caller.checkout / "pipelines")
    assert found["environment"]["PATH"] == os.environ["PATH"]
    assert (found["temporary"], found["folder"]) == (str(sandbox / "tmp"), str(caller.checkout))


def test_code_under_test_has_the_standard_files_and_no_other(caller: Caller) -> None:
    found = json.loads(caller.run("surroundings")["output"])
    assert found["files"] == [0, 1, 2]
    assert found["input"] == ""


def test_code_under_test_leads_its_session_leaves_no_core_and_is_the_first_to_go_without_memory(caller: Caller) -> None:
    found = json.loads(caller.run("surroundings")["output"])
    assert (found["leader"], found["core"], found["oom"]) == (True, [0, 0], 1000)


@pytest.mark.parametrize(("name", "code"), [("fail", 1), ("leave", 17), ("crash", -signal.SIGSEGV)])
def test_the_exit_code_is_told(caller: Caller, name: str, code: int) -> None:
    outcome = caller.run(name)
    assert (outcome["code"], outcome["checked"], outcome["limit"]) == (code, code, None)


def test_what_it_writes_is_seen_and_kept(caller: Caller) -> None:
    process = caller.start("fail")
    out, error = process.communicate(timeout=60)
    assert "ZeroDivisionError: a bug in the code under test" in error
    assert json.loads(out)["output"] in error


@pytest.mark.parametrize(
    ("name", "limits", "message"),
    [
        ("sleep", {"seconds": 1}, "the tests took longer than 1 s and were ended (ci_cd.limits.seconds)"),
        ("memory_hog", {"memory_mb": 200}, "the tests used more memory than 200 MiB and were ended"),
        ("fork_bomb", {"processes": 60}, "the tests started more than 60 processes and were ended"),
        ("fill_the_disk", {"disk_mb": 50}, "the tests wrote more than 50 MiB and were ended (ci_cd.limits.disk_mb)"),
        ("fill_the_checkout", {"disk_mb": 50}, "the tests wrote more than 50 MiB and were ended"),
        ("fill_the_disk_without_names", {"disk_mb": 50}, "the tests wrote more than 50 MiB and were ended"),
    ],
)
def test_a_limit_ends_it_and_is_named(caller: Caller, name: str, limits: dict[str, float], message: str) -> None:
    outcome = caller.run(name, **limits)
    assert (outcome["code"], outcome["limit"], outcome["error"]) == (None, next(iter(limits)), "CodeError")
    assert outcome["message"].startswith(message)
    assert outcome["sandbox"] == []


def test_one_file_can_not_be_larger_than_the_limit(caller: Caller) -> None:
    outcome = caller.run("write_one_large_file", disk_mb=20)
    assert "File too large" in outcome["output"] or outcome["limit"] == "disk_mb"
    assert (caller.checkout / "large").stat().st_size <= 20 * 2**20


def test_memory_that_processes_share_counts_once(caller: Caller) -> None:
    assert caller.run("many_that_share_memory", memory_mb=200)["code"] == 0


def test_output_without_end_does_not_fill_the_log(caller: Caller) -> None:
    process = caller.start("talk_without_end", seconds=2)
    out, error = process.communicate(timeout=60)
    assert json.loads(out)["size"] > len(error)
    assert "... more output is not shown" in error
    assert len(error) <= 33 * 2**20


def test_what_it_leaves_in_its_folders_is_removed_whatever_it_is(caller: Caller) -> None:
    outcome = caller.run("a_deep_tree_that_cannot_be_entered")
    assert (outcome["code"], outcome["sandbox"]) == (0, [])
    assert Path("/etc").is_dir()
