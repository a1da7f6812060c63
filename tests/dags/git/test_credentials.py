"""Credentials reach the remote, and nothing else: no argument, URL, file or log."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from respan.git import ensure_checkout
from respan.git.agent import agent_with
from respan.hooks.git import GitRemoteHook

from ml.errors import SettingsError
from tests.dags.git.http_server import GitServer, serving
from tests.dags.git.repositories import Repository, settings

PROJECT = Path(__file__).resolve().parent.parent.parent.parent
PASSWORD = "s3cret-t0ken-of-the-tests"
HEADER = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()

CHECK_OUT = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from respan.git import ensure_checkout
from tests.dags.git.repositories import settings
ensure_checkout(settings(sys.argv[1], "robot"), "run", sys.argv[2], None)
"""

HOLD_KEY = """
import sys, time
from respan.git.agent import agent_with
with agent_with(sys.stdin.read()) as socket:
    print(socket, flush=True)
    time.sleep(600)
"""

SSH_STAND_IN = """#!{python}
import json, os, shlex, sys
with open({log!r}, "a") as log:
    log.write(json.dumps({{"argv": sys.argv[1:], "agent": os.environ.get("SSH_AUTH_SOCK")}}) + "\\n")
program, path = shlex.split(sys.argv[-1])
os.execvp("git", ["git", program.removeprefix("git-"), path])
"""


@pytest.fixture(autouse=True)
def _own_home(respan_home: Path) -> None:
    """Mirrors and workspaces of this test alone."""


def connect(monkeypatch: pytest.MonkeyPatch, **extras: object) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ROBOT", json.dumps({"conn_type": "git", "extra": extras}))


def new_key(folder: Path, passphrase: str = "") -> Path:
    file = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file], check=True)
    return file


def fingerprint(key: Path) -> str:
    listed = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, text=True, check=True)
    return listed.stdout.split()[1]


def keys_in(agent: Path) -> str:
    environment = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
    return subprocess.run(["ssh-add", "-l"], env=environment, capture_output=True, text=True, check=False).stdout


def files_with(folder: Path, secrets: list[str]) -> list[Path]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert files
    return [file for file in files if any(secret.encode() in file.read_bytes() for secret in secrets)]


@pytest.mark.slow
def test_a_password_is_in_no_argument_file_or_log_while_git_fetches(
    repository: Repository, respan_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    revision = repository.push({"a": "1"})
    connection = {"conn_type": "git", "login": "robot", "password": PASSWORD}
    monkeypatch.setenv("AIRFLOW_CONN_ROBOT", json.dumps(connection))
    monkeypatch.setenv("TMPDIR", str(respan_home))
    hold = threading.Event()
    with serving(GitServer(repository.bare.parent, login=f"robot:{PASSWORD}", hold=hold)) as server:
        task = subprocess.Popen(
            [sys.executable, "-c", CHECK_OUT, f"{server.url}/remote.git", revision],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert server.asked.wait(120)
        running = psutil.Process(task.pid).children(recursive=True)
        arguments = [process.cmdline() for process in running]
        assert any("fetch" in words for words in arguments)
        assert any(HEADER in value for process in running for value in process.environ().values())
        assert not [words for words in arguments if PASSWORD in str(words) or HEADER in str(words)]
        hold.set()
        log, _ = task.communicate(timeout=120)
    assert task.returncode == 0, log
    assert server.authorizations[0] == f"Basic {HEADER}"
    assert "fetched from the remote" in log
    assert not [secret for secret in (PASSWORD, HEADER) if secret in log]
    assert files_with(respan_home, [PASSWORD, HEADER]) == []


def test_the_password_is_masked_should_anything_log_it(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk._shared.secrets_masker import redact  # Airflow offers no public way to ask

    monkeypatch.setenv("AIRFLOW_CONN_ROBOT", json.dumps({"conn_type": "git", "login": "robot", "password": PASSWORD}))
    with GitRemoteHook("https://localhost/x.git", "robot").environment() as environment:
        (header,) = (value for value in environment.values() if "Basic" in value)
    assert HEADER in header
    assert redact(f"{header} {PASSWORD}") == "Authorization: Basic *** ***"


def test_a_connections_password_goes_to_the_remotes_own_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ROBOT", json.dumps({"conn_type": "git", "password": PASSWORD}))
    with GitRemoteHook("https://localhost:8443/team/x.git", "robot").environment() as environment:
        key = next(name for name, value in environment.items() if "Basic" in value).replace("VALUE", "KEY")
        assert environment[key] == "http.https://localhost:8443/.extraHeader"
    for remote in ("ssh://git@localhost/x", "git@localhost:x", "/x", "git://localhost/x"):
        with GitRemoteHook(remote, "robot").environment() as environment:
            assert not [value for value in environment.values() if PASSWORD in value or "Basic" in value]


def ssh_stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of ssh, which needs a server: notes how it is called, and runs git's side here. Returns its notes."""
    log = folder / "ssh.log"
    program = folder / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(SSH_STAND_IN.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


def test_ssh_gets_its_options_word_by_word(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = repository.push({"a": "1"})
    log = ssh_stand_in(tmp_path, monkeypatch)
    key = tmp_path / "a key; $(x)"
    key.write_text("not read here")
    connect(monkeypatch, key_file=str(key), known_hosts_file=str(key), ssh_port="2222")
    hook = GitRemoteHook(f"git@localhost:{repository.bare}", "robot")
    assert hook.head("main") == revision
    ensure_checkout(settings(hook.remote, "robot"), "run", revision, None)
    words = json.loads(log.read_text().splitlines()[0])["argv"]
    assert {f"-i{key}", f"-oUserKnownHostsFile={key}", "-p2222", "-oIdentitiesOnly=yes"} <= set(words)
    assert {"-oStrictHostKeyChecking=yes", "-oBatchMode=yes", "git@localhost"} <= set(words)


def test_a_key_from_the_connection_is_in_an_agent_and_in_no_file(
    repository: Repository, respan_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = repository.push({"a": "1"})
    key = new_key(tmp_path)
    text = key.read_text()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    tempfile.tempdir = None
    log = ssh_stand_in(tmp_path, monkeypatch)
    connect(monkeypatch, private_key=text)
    hook = GitRemoteHook(f"ssh://localhost{repository.bare}", "robot")
    with hook.environment() as environment:
        options = environment["RESPAN_SSH_OPTIONS"].split("\n")
        (agent,) = (option.partition("=")[2] for option in options if option.startswith("-oIdentityAgent="))
        assert fingerprint(key) in keys_in(Path(agent))
        assert text.splitlines()[1] not in str(environment)
        left = [file for file in (*temporary.rglob("*"), *Path(agent).parent.iterdir()) if file.is_file()]
        assert left == []
    assert not Path(agent).exists()
    assert hook.head("main") == asyncio.run(hook.head_async("main")) == revision
    ensure_checkout(settings(hook.remote, "robot"), "run", revision, None)
    assert files_with(respan_home, text.splitlines()[1:-1]) == []
    assert len(log.read_text().splitlines()) >= 3
    tempfile.tempdir = None


@pytest.mark.slow
def test_the_agent_ends_with_the_block_and_with_a_killed_process(tmp_path: Path) -> None:
    key = new_key(tmp_path).read_text()
    with agent_with(key) as socket:
        assert agents(socket)
    killed = subprocess.Popen(
        [sys.executable, "-c", HOLD_KEY],
        env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdin is not None
    assert killed.stdout is not None
    killed.stdin.write(key)
    killed.stdin.close()
    other = Path(killed.stdout.readline().strip())
    assert agents(other)
    killed.kill()
    killed.wait()
    end = time.monotonic() + 60
    while agents(socket) or agents(other):
        assert time.monotonic() < end, "an agent is left"
        time.sleep(0.1)
    shutil.rmtree(other.parent)


def agents(socket: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].endswith("ssh-agent") and str(socket) in process.info["cmdline"]
    ]


@pytest.mark.parametrize(
    ("extras", "told"),
    [
        ({"private_key": "nonsense"}, "is no private key"),
        ({"private_key": "x", "key_file": "/etc/hostname"}, "not both"),
        ({"key_file": "/absent"}, "key_file: there is no file '/absent'"),
        ({"known_hosts_file": "relative"}, "give its full path"),
        ({"strict_host_key_checking": "maybe"}, "must be one of yes, accept-new, no"),
        ({"ssh_port": "x"}, "ssh_port must be a number"),
        ({"private_key_passphrase": "x"}, "without a passphrase"),
        ({"host_proxy_cmd": "nc %h %p"}, "ProxyJump"),
    ],
)
def test_a_connection_that_can_not_be_used_names_the_field(
    monkeypatch: pytest.MonkeyPatch, extras: dict[str, str], told: str
) -> None:
    connect(monkeypatch, **extras)
    with pytest.raises(SettingsError, match=told):
        GitRemoteHook("git@localhost:x", "robot").head("main")


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, private_key=new_key(tmp_path, "a passphrase").read_text())
    with pytest.raises(SettingsError, match="or has a passphrase"):
        GitRemoteHook("git@localhost:x", "robot").head("main")
