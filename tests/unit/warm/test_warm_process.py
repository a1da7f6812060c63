"""The warm process, seen from outside: real clients, a real server, real commands."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from ml.warm import client
from tests.unit.warm.warm_project import Project, runs, wait_until


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["no-such-command"], ["pipelines", "--no-such-option"], ["settings", "no_such_pipeline"]]
    + [["probe", "end", how] for how in ("well", "refuse", "crash", "exit")],
    ids=" ".join,
)
def test_gives_the_same_result_as_a_process_of_its_own(shared_project: Project, argv: list[str]) -> None:
    warm, cold = shared_project.warm(*argv), shared_project.cold(*argv)
    assert (warm.stdout, warm.returncode) == (cold.stdout, cold.returncode)
    assert warm.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]


def test_tells_a_command_that_was_killed_as_subprocess_does(shared_project: Project) -> None:
    warm, cold = shared_project.warm("probe", "end", "kill"), shared_project.cold("probe", "end", "kill")
    assert cold.returncode == -signal.SIGKILL
    assert (warm.returncode, warm.stdout) == (128 + signal.SIGKILL, cold.stdout)


def test_gives_a_command_the_callers_surroundings_and_nothing_of_the_servers(
    shared_project: Project, tmp_path: Path
) -> None:
    shared_project.warm("probe", "version", RESPAN_STORAGE="file:///first", GOOGLE_FIRST="1")  # starts the server
    place, temporary = tmp_path / "place", tmp_path / "temporary"
    place.mkdir()
    temporary.mkdir()
    given = {"RESPAN_STORAGE": "file:///second", "TMPDIR": str(temporary)}
    seen = json.loads(shared_project.warm("probe", "surroundings", PROBE_CWD=str(place), **given).stdout)
    alone = json.loads(shared_project.cold("probe", "surroundings", **given).stdout)
    assert seen["environment"] == alone["environment"]
    assert seen["folder"] == str(place)
    assert seen["temporary"] == str(temporary)
    assert [seen[key] for key in ("umask", "input")] == [alone[key] for key in ("umask", "input")]
    assert seen["argv"] == alone["argv"]
    assert seen["leader"]


def test_runs_commands_side_by_side_in_one_server(project: Project, tmp_path: Path) -> None:
    one = project.start("probe", "meet", str(tmp_path / "one"), str(tmp_path / "other"))
    other = project.start("probe", "meet", str(tmp_path / "other"), str(tmp_path / "one"))
    assert [process.communicate()[0] for process in (one, other)] == ["met\n", "met\n"]
    assert len(project.servers()) == 1


def test_many_clients_that_find_no_server_start_one(project: Project) -> None:
    clients = [project.start("probe", "version") for _ in range(6)]
    assert [process.communicate() for process in clients] == [("first\n", "")] * 6
    assert len(project.servers()) == 1


def test_a_change_of_code_is_seen_without_a_restart(project: Project) -> None:
    assert project.warm("probe", "version").stdout == "first\n"
    before = project.servers()
    project.edit("commands/probe.py", '"first"', '"second version"')
    assert project.warm("probe", "version").stdout == "second version\n"
    assert project.servers() == before


def test_a_server_whose_own_code_changed_is_replaced_and_ends(project: Project) -> None:
    project.warm("probe", "version")
    [old] = project.servers()
    project.edit("warm/protocol.py", "What client and warm process say", "All that client and warm process say")
    assert project.warm("probe", "version").stdout == "first\n"
    wait_until(lambda: not runs(old), "the old server's end")
    assert old not in project.servers()


def test_commands_draw_different_random_numbers(shared_project: Project) -> None:
    assert shared_project.warm("probe", "randomness").stdout != shared_project.warm("probe", "randomness").stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_the_end_of_the_client_ends_the_command_and_all_it_started(project: Project, number: signal.Signals) -> None:
    process = project.start("probe", "sleep", "ids.json")
    ids = project.sleeping("ids.json")
    process.send_signal(number)
    assert process.wait(60) == (72 if number == signal.SIGTERM else -number)
    wait_until(lambda: not any(map(runs, ids.values())), "the command's end")
    assert project.warm("probe", "version").stdout == "first\n"


def test_the_death_of_the_server_ends_the_command_and_is_told_as_a_loss(project: Project) -> None:
    process = project.start("probe", "sleep", "ids.json")
    ids = project.sleeping("ids.json")
    [server] = project.servers()
    os.kill(server, signal.SIGKILL)
    assert process.wait(60) in (71, 128 + signal.SIGKILL)
    wait_until(lambda: not any(map(runs, ids.values())), "the command's end")
    assert project.warm("probe", "version").stdout == "first\n", "its socket is in the way of the next server"
    assert server not in project.servers()


def test_the_death_of_the_worker_ends_what_it_started(project: Project) -> None:
    process = project.start("probe", "sleep", "ids.json")
    ids = project.sleeping("ids.json")
    os.kill(ids["worker"], signal.SIGKILL)
    assert process.wait(60) == 128 + signal.SIGKILL
    wait_until(lambda: not any(map(runs, ids.values())), "the command's end")


def test_the_death_of_the_session_ends_the_command_and_is_told_as_a_loss(project: Project) -> None:
    process = project.start("probe", "sleep", "ids.json")
    ids = project.sleeping("ids.json")
    os.kill(ids["session"], signal.SIGKILL)
    assert process.wait(60) == 71
    wait_until(lambda: not runs(ids["worker"]), "the command's end")
    os.kill(ids["grandchild"], signal.SIGKILL)


@pytest.mark.slow
def test_no_command_runs_twice_or_unnoticed_when_the_server_is_killed_at_random(project: Project) -> None:
    dice = random.Random(7)
    for attempt in range(6):
        project.warm("probe", "version")
        [server] = project.servers()
        clients = [project.start("probe", "effect", f"effect-{attempt}-{n}") for n in range(3)]
        wait_until(lambda: dice.random() < 0.1, "the moment to kill")
        os.kill(server, signal.SIGKILL)
        for n, process in enumerate(clients):
            _, error = process.communicate()
            file = project.folder / f"effect-{attempt}-{n}"
            effects = len(file.read_text().splitlines()) if file.exists() else 0
            allowed = {0: {1}, 70: {0}, 71: {0, 1}, 128 + signal.SIGKILL: {0, 1}}
            assert effects in allowed[process.returncode], error


def test_stopping_lets_the_command_under_way_finish(project: Project, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    process = project.start("probe", "meet", str(mine), str(theirs))
    wait_until(mine.exists, "the command's start")
    [server] = client.stop(project.environment())
    assert project.servers() == []
    assert project.warm("probe", "version").stdout == "first\n"
    assert project.servers() != [server]
    theirs.touch()
    assert process.communicate() == ("met\n", "")
    wait_until(lambda: not runs(server), "the stopped server's end")


def test_a_server_that_nobody_uses_ends_and_the_next_command_starts_another(project: Project) -> None:
    project.warm("probe", "version", RESPAN_WARM_IDLE_SECONDS="0.2")
    wait_until(lambda: project.servers() == [], "the idle server's end")
    assert not list((project.home / "warm").glob("*.sock"))
    assert project.warm("probe", "version").stdout == "first\n"


def test_a_server_whose_home_is_deleted_ends(project: Project) -> None:
    project.warm("probe", "version")
    [server] = project.servers()
    project.home.rename(project.home.with_name("moved"))
    project.warm("probe", "version")
    wait_until(lambda: not runs(server), "the end of the server whose home is gone")


def test_works_in_a_home_whose_path_is_longer_than_a_socket_address(project: Project) -> None:
    project.home = project.home.joinpath(*["a-rather-long-folder-name" * 4] * 3)
    assert project.warm("probe", "version").stdout == "first\n"
    assert project.warm("probe", "version").stdout == "first\n"
    assert len(project.servers()) == 1


def test_nobody_else_may_enter_its_folder(project: Project) -> None:
    (project.home / "warm").mkdir(parents=True, mode=0o755)
    project.warm("probe", "version")
    assert (project.home / "warm").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"RESPAN_WARM_IDLE_SECONDS": "0"}, "switched off"),
        ({"PROBE_CWD": "/no/such/folder"}, "can't work in /no/such/folder"),
        ({"RESPAN_HOME": "/proc/no-home"}, "can't use /proc/no-home/warm"),
    ],
    ids=["switched off", "folder missing", "home unusable"],
)
def test_says_why_it_did_not_start_a_command(shared_project: Project, environment: dict[str, str], reason: str) -> None:
    done = shared_project.warm("probe", "version", **environment)
    assert (done.returncode, done.stdout) == (70, "")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_number_of_idle_seconds_is_told(shared_project: Project) -> None:
    done = shared_project.warm("probe", "version", RESPAN_WARM_IDLE_SECONDS="soon")
    assert done.returncode == 2
    assert "RESPAN_WARM_IDLE_SECONDS is 'soon'" in done.stderr
