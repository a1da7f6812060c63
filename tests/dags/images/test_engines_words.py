"""What engines say when they fail, as podman 4.3, buildah 1.28, docker 28 and BuildKit say it."""

from __future__ import annotations

import pytest
from respan.images.errors import ImageError, ImageServiceError
from respan.images.failures import failed, is_unauthorised, last_step

from ml.errors import MissingEnvironmentError, RespanError

REFUSED = 'pinging container registry r.example: Get "https://r.example/v2/": dial tcp: connect: connection refused'


def told(action: str, *lines: str, exit_code: int = 125, connection: str | None = "registry") -> RespanError:
    error = failed(action, "podman", "r.example/respan", connection, exit_code, lines)
    assert "\n" not in str(error)
    return error


@pytest.mark.parametrize(
    ("lines", "step", "why"),
    [
        (["STEP 1/2: FROM scratch", "STEP 2/2: RUN false", 'Error: building at STEP "RUN false": exit status 1'],
         "2/2: RUN false", "exit status 1"),
        (["[2/2] STEP 3/4: RUN make", 'Error: building at STEP "RUN make": while running runtime: exit status 2'],
         "3/4: RUN make", "while running runtime: exit status 2"),
        (["Step 2/3 : RUN false", "The command '/bin/sh -c false' returned a non-zero code: 1"],
         "2/3: RUN false", "The command '/bin/sh -c false' returned a non-zero code: 1"),
        (["#6 [build 2/3] RUN false", "ERROR: failed to solve: process \"false\" did not complete", "", "tip"],
         "2/3: RUN false", 'failed to solve: process "false" did not complete'),
        (["Error: no FROM statement found"], None, "no FROM statement found"),
    ],
)  # fmt: skip
def test_a_failing_build_names_the_step_and_why(lines: list[str], step: str | None, why: str) -> None:
    error = told("build", *lines)
    assert isinstance(error, ImageError)
    assert str(error) == f"the image can't be built: {f'step {step}: ' if step else ''}{why}"
    assert last_step(lines) == step


def test_what_a_build_wrote_moves_no_cursor_where_its_error_is_read() -> None:
    error = told("build", "STEP 2/2: RUN \x1b]0;title\x07false", "Error: \x1b[31mbroken\x1b[0m\x08\x9b2J")
    assert str(error) == "the image can't be built: step 2/2: RUN ]0;titlefalse: broken2J"


@pytest.mark.parametrize(
    "line",
    [
        f"Error: trying to reuse blob sha256:00 at destination: {REFUSED}",
        "Error: dial tcp: lookup r.example: no such host",
        'Get "https://r.example/v2/": net/http: TLS handshake timeout',
        "Error: received unexpected HTTP status: 503 Service Unavailable",
        "toomanyrequests: You have reached your pull rate limit",
    ],
)
@pytest.mark.parametrize("action", ["build", "push", "pull"])
def test_a_registry_that_cant_be_reached_is_worth_a_retry(action: str, line: str) -> None:
    assert isinstance(told(action, 'time="x" level=warning msg="retrying"', line), ImageServiceError)


def test_a_step_whose_program_says_that_it_was_refused_is_a_failing_build() -> None:
    error = told(
        "build", "STEP 2/2: RUN pip install x", "401 unauthorized: denied", 'Error: building at STEP "R": exit status 1'
    )
    assert str(error) == "the image can't be built: step 2/2: RUN pip install x: exit status 1"


@pytest.mark.parametrize(
    "line", ["unauthorized: authentication required", "denied: requested access to the resource is denied"]
)
def test_a_refused_push_names_the_connection_or_asks_for_one(line: str) -> None:
    assert "r.example refuses the login in connection 'registry'" in str(told("push", line))
    assert str(told("push", line, connection=None)).endswith("name a connection with one in ci_cd.image.connection")


def test_no_daemon_is_worth_a_retry_a_forbidden_one_is_not() -> None:
    nobody = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
    assert isinstance(told("build", nobody), ImageServiceError)
    forbidden = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
    assert isinstance(told("image", forbidden), MissingEnvironmentError)


def test_a_killed_engine_is_worth_a_retry() -> None:
    assert isinstance(told("build", "STEP 2/2: RUN make", exit_code=137), ImageServiceError)


def test_a_registry_that_hides_what_doesnt_exist_has_not_refused_the_login() -> None:
    assert is_unauthorised(["Error: reading manifest c in r.example/x: unauthorized: authentication required"])
    assert not is_unauthorised(["denied: requested access to the resource is denied", "unauthorized: log in"])
