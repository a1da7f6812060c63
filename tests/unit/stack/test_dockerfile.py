"""What the image promises, read from its Dockerfile and .dockerignore."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


def instructions() -> list[tuple[str, str]]:
    """(instruction, rest) of the Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in (PROJECT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(first, rest) for first, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def last_stage() -> list[tuple[str, str]]:
    every = instructions()
    begins = max(number for number, (name, _) in enumerate(every) if name == "FROM")
    return every[begins:]


def test_it_stands_on_debian_trixie_slim() -> None:
    assert instructions()[0] == ("ARG", "BASE=docker.io/library/debian:trixie-slim")


def test_the_last_stage_runs_as_a_user_without_rights_under_an_init() -> None:
    last = dict(last_stage())
    assert last["USER"] == "50000:0"
    assert last["ENTRYPOINT"] == '["/usr/bin/tini", "--"]'


def test_compilers_and_installers_stay_in_earlier_stages() -> None:
    assert last_stage()[0] == ("FROM", "system")
    kept = [word for name, rest in last_stage() if name == "RUN" for word in rest.split()]
    [system] = [
        rest
        for number, (name, rest) in enumerate(instructions())
        if name == "RUN" and instructions()[number - 1] == ("FROM", "${BASE} AS system")
    ]
    for tool in ("apt-get", "g++", "python3-dev", "python3-venv", "scripts.setup", "pip"):
        assert tool not in kept
    for tool in ("g++", "python3-dev", "python3-venv", "pip"):
        assert tool not in system


def test_the_code_comes_last_so_that_a_change_of_it_builds_no_environment() -> None:
    copies = [rest for name, rest in last_stage() if name == "COPY"]
    assert copies == [
        "--from=airflow /opt/envs/airflow /opt/envs/airflow",
        "--from=tfx /opt/envs/tfx /opt/envs/tfx",
        ". /opt/respan",
    ]
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith(("--from", ". ")):
            assert rest.split()[0] in (
                "scripts/__init__.py",
                "scripts/setup",
                "requirements.txt",
                "ml/requirements-tfx1.21.txt",
            )


def test_environments_come_from_the_locks() -> None:
    built = [rest for name, rest in instructions() if name == "RUN" and "scripts.setup" in rest]
    assert [text.split("scripts.setup ")[1].split()[0] for text in built] == ["airflow", "tfx"]


def test_nothing_but_code_reaches_the_build() -> None:
    rules = [
        line
        for line in (PROJECT / ".dockerignore").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!dags",
        "!ml",
        "!plugins",
        "!scripts",
        "!requirements.txt",
    }
    assert "**/.env*" in rules


def test_no_secret_is_an_argument_or_a_variable_of_the_image() -> None:
    text = " ".join(rest for name, rest in instructions() if name in ("ARG", "ENV"))
    assert not any(word in text.upper() for word in ("PASSWORD", "SECRET", "TOKEN", "_KEY"))
