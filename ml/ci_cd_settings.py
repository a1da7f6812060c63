"""The section ``ci_cd`` of a settings file: its keys, defaults and limits."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Literal

from pathspec import GitIgnoreSpec
from pydantic import AfterValidator, Field, field_validator, model_validator
from typing_extensions import Self

from ml.ci_cd.names import check_branch
from ml.settings_section import Section


def _checked_pattern(pattern: str) -> str:
    try:
        GitIgnoreSpec.from_lines([pattern])
    except ValueError as error:
        raise ValueError(f"is no pattern as in .gitignore: {error}") from None
    return pattern


def _checked_gate(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"is no command: {str(error).lower()}") from None
    if not words:
        raise ValueError("must name a Python module and its arguments, such as `ruff check`")
    return command


def _checked_folder(path: str) -> str:
    parts = path.split("/")
    if path.startswith(("/", "-")) or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be a path inside the repository, such as ml/pipelines")
    return path


Pattern = Annotated[str, AfterValidator(_checked_pattern)]
Gate = Annotated[str, AfterValidator(_checked_gate)]
RepositoryPath = Annotated[str, AfterValidator(_checked_folder)]

_USER_INFO = re.compile(r"^[a-z+]+://[^/@]*:[^/@]*@", re.IGNORECASE)


class ImageSettings(Section):
    """The container image that a change of the whole code base gets."""

    builder: Literal["none", "docker", "podman", "buildah", "cloud_build"] = Field(
        "none", description="What builds the image; none: no image is built."
    )
    repository: str | None = Field(
        None, min_length=1, description="Name of the image without a tag, such as registry.example/team/respan."
    )
    push: bool = Field(
        True, description="Whether it is pushed; if not, it stays with the builder. Cloud Build always pushes."
    )
    connection: str | None = Field(
        None,
        min_length=1,
        description="Airflow connection with the registry's login and password, for cloud_build one to Google Cloud; "
        "null: none, or google_cloud_default.",
    )
    dockerfile: RepositoryPath = Field("Dockerfile", description="Its Dockerfile, a path in the repository.")
    timeout_seconds: float = Field(3_600, gt=0, description="Longest build and push together, in seconds.")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.builder != "none" and self.repository is None:
            raise ValueError("builder needs ci_cd.image.repository, the name that the image gets")
        return self


class LimitSettings(Section):
    """What code under test may use, in each step, together with all processes that it starts."""

    seconds: float = Field(1_800, gt=0, description="Time of one step, in seconds.")
    memory_mb: int = Field(8_192, ge=64, description="Memory of all its processes together, in MiB.")
    disk_mb: int = Field(10_240, ge=1, description="What it may write, in MiB.")
    processes: int = Field(512, ge=1, description="Processes at one time.")


class CiCdSettings(Section):
    """From a change of the code to a training run with it."""

    remote: str | None = Field(
        None,
        min_length=1,
        description="URL or path of the git repository with this pipeline, without credentials; null: no ci_cd DAG.",
    )
    connection: str | None = Field(
        None, min_length=1, description="Airflow connection with the remote's credentials; null: none are needed."
    )
    branch: str = Field("main", min_length=1, description="The branch that is watched.")
    poll_seconds: float = Field(60.0, gt=0, description="How often the remote is asked, in seconds.")
    unreachable_seconds: float = Field(
        600.0, ge=0, description="How long a run waits for a remote that can't be reached before it fails, in seconds."
    )
    pipelines_path: RepositoryPath = Field("ml/pipelines", description="The repository's folder with the pipelines.")
    modules: list[Pattern] = Field(
        ["*.py", "settings.yaml", "schema.pbtxt"],
        description="A change of only these files in the pipeline's folder has the scope modules; patterns as in "
        ".gitignore.",
    )
    ignored: list[Pattern] = Field(
        ["*.md", "/docs/", "/.github/", "/LICENSE"],
        description="A change of only these files of the repository starts nothing; patterns as in .gitignore.",
    )
    gates: list[Gate] = Field(
        ["ruff check", "ruff format --check"],
        description="Python modules of Airflow's environment with their arguments, each called with the changed Python "
        "files; all must succeed.",
    )
    test_arguments: list[str] = Field(default_factory=list, description="Further arguments of pytest.")
    local_run: dict[str, str | bool | int | float] = Field(
        default_factory=dict,
        description="Settings of the local run on sample data, in place of the file's values: dotted keys.",
    )
    limits: LimitSettings = LimitSettings()
    image: ImageSettings = ImageSettings()
    status: Literal["none", "github"] = Field("none", description="Where the state of each revision is reported.")
    status_connection: str | None = Field(
        None, min_length=1, description="Airflow connection for it; null: the provider's default one."
    )

    @field_validator("remote")
    @classmethod
    def _without_credentials(cls, remote: str | None) -> str | None:
        if remote is not None and _USER_INFO.match(remote):
            raise ValueError("must not hold a password: put it into an Airflow connection, named by ci_cd.connection")
        if remote is not None and remote.startswith("-"):
            raise ValueError("must be a URL or a path")
        return remote

    @field_validator("branch")
    @classmethod
    def _branch_name(cls, branch: str) -> str:
        return check_branch(branch)
