"""The command lines of docker, podman and buildah. All three have the same few commands; this is where they differ."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ml.errors import MissingEnvironmentError, RespanError
from respan.images import failures, leftovers
from respan.images.credentials import RegistryLogin, authfile, docker_config
from respan.images.errors import ImageError
from respan.images.process import Ended, EngineProcess
from respan.images.request import CONTENT_LABEL, ImageRequest

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PUSHED = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})\b")


@dataclass(frozen=True)
class LocalImage:
    """An image in the engine's store. ``name`` tells it by its digest, as far as the engine knows one."""

    name: str
    content: str | None


class Engine(ABC):
    """One engine. Every method raises ``ImageError``, ``ImageServiceError`` or ``MissingEnvironmentError``.

    The registry's login goes to what speaks with the registry only, never to a build, which runs the code of the
    revision. A base image that needs a login is pulled with the engine's own one (``podman login``).
    """

    program: ClassVar[str]
    inspect_command: ClassVar[Sequence[str]] = ("image", "inspect")

    def __init__(self, process: EngineProcess, login: RegistryLogin | None, connection: str | None) -> None:
        self._process = process
        self._login = login
        self._connection = connection
        if shutil.which(self.program, path=process.environment.get("PATH")) is None:
            raise MissingEnvironmentError(
                f"ci_cd.image.builder is {self.program}, and there is no such program on PATH: install it, or set "
                "another builder"
            )

    def find(self, tag: str) -> LocalImage | None:
        """The image that carries ``tag`` here."""
        ended = self._run(*self.inspect_command, tag, output_apart=True)
        if ended.exit_code:
            problem = self._failed(self.inspect_command[0], tag, ended)
            if problem.retryable or isinstance(problem, MissingEnvironmentError):
                raise problem
            return None
        document = json.loads(ended.output)
        return self._described(document[0] if isinstance(document, list) else document, tag)

    def pull(self, tag: str) -> LocalImage | None:
        """The same from the registry; None where the registry has none, or doesn't say."""
        ended = self._with_login("pull", tag)
        if ended.exit_code:
            problem = self._failed("pull", tag, ended)
            if problem.retryable or failures.is_unauthorised(ended.lines):
                raise problem
            return None
        return self.find(tag)

    def build(self, request: ImageRequest) -> None:
        """Builds it under its content's tag."""
        labels = [word for name, value in request.labels.items() for word in ("--label", f"{name}={value}")]
        file = str(request.context / request.dockerfile)
        mark = self._mark()
        argv = ["--file", file, "--tag", request.content_tag, *labels, *self._build_options(mark), str(request.context)]
        self._must("build", request.repository, self._process.run([self.program, "build", *argv], mark=mark))

    def tag(self, existing: str, new: str) -> None:
        self._must("tag", new, self._run("tag", existing, new))

    def push(self, tag: str) -> str:
        """Pushes the image and returns the digest that the registry has it under."""
        with tempfile.TemporaryDirectory(prefix="respan-push-") as folder:
            file = Path(folder) / "digest"
            ended = self._with_login("push", *self._push_options(file), tag)
            self._must("push", tag, ended)
            told = self._pushed_digest(file, ended)
        if not _DIGEST.fullmatch(told):
            raise ImageError(f"{self.program} pushed {tag} but told no digest")
        return told

    def _mark(self) -> str:
        """The mark of a build's containers; empty if a daemon has them."""
        return leftovers.new_mark()

    def _build_options(self, mark: str) -> list[str]:
        # A fixed --timestamp would give the same content the same digest on every machine. But it dates all files anew,
        # so Python would take the compiled modules in the image for stale ones and compile them at each start.
        return ["--layers", "--force-rm", *leftovers.marking_options(mark)]

    def _push_options(self, digest_file: Path) -> list[str]:
        return ["--digestfile", str(digest_file)]

    def _pushed_digest(self, file: Path, ended: Ended) -> str:
        return file.read_text("utf-8").strip() if file.exists() else ""

    @abstractmethod
    def _described(self, document: dict[str, Any], tag: str) -> LocalImage:
        """What the engine's ``inspect`` tells of the image."""

    def _authenticated(self, login: RegistryLogin) -> AbstractContextManager[tuple[dict[str, str], int]]:
        return authfile(login)

    def _with_login(self, *arguments: str) -> Ended:
        if self._login is None:
            return self._run(*arguments)
        with self._authenticated(self._login) as (variables, file):
            return self._process.run([self.program, *arguments], environment=variables, inherited=[file])

    def _run(self, *arguments: str, output_apart: bool = False) -> Ended:
        return self._process.run([self.program, *arguments], output_apart=output_apart)

    def _must(self, action: str, name: str, ended: Ended) -> None:
        if ended.exit_code:
            raise self._failed(action, name, ended)

    def _failed(self, action: str, name: str, ended: Ended) -> RespanError:
        return failures.failed(action, self.program, name, self._connection, ended.exit_code, ended.lines)


class Podman(Engine):
    program = "podman"

    def _described(self, document: dict[str, Any], tag: str) -> LocalImage:
        return LocalImage(_by_digest(tag, document["Digest"]), (document.get("Labels") or {}).get(CONTENT_LABEL))


class Buildah(Engine):
    program = "buildah"
    inspect_command = ("inspect", "--type", "image")

    def _described(self, document: dict[str, Any], tag: str) -> LocalImage:
        labels = (document.get("OCIv1") or {}).get("config", {}).get("Labels") or {}
        return LocalImage(_by_digest(tag, document["FromImageDigest"]), labels.get(CONTENT_LABEL))


class Docker(Engine):
    """With or without BuildKit. A daemon whose store keeps no digests (the classic one) names an image by its id."""

    program = "docker"

    def _mark(self) -> str:
        return ""

    def _build_options(self, mark: str) -> list[str]:
        return []

    def _push_options(self, digest_file: Path) -> list[str]:
        return []

    def _pushed_digest(self, file: Path, ended: Ended) -> str:
        told = [match[1] for line in ended.lines if (match := _PUSHED.search(line))]
        return told[-1] if told else ""

    def _authenticated(self, login: RegistryLogin) -> AbstractContextManager[tuple[dict[str, str], int]]:
        return docker_config(login, self._process.environment)

    def _described(self, document: dict[str, Any], tag: str) -> LocalImage:
        labels = (document.get("Config") or {}).get("Labels") or {}
        repository = tag.rpartition(":")[0]
        known = [name for name in document.get("RepoDigests") or [] if name.partition("@")[0] == repository]
        return LocalImage(known[0] if known else document["Id"], labels.get(CONTENT_LABEL))


ENGINES: dict[str, type[Engine]] = {engine.program: engine for engine in (Docker, Podman, Buildah)}


def _by_digest(tag: str, digest: str) -> str:
    return f"{tag.rpartition(':')[0]}@{digest}"
