"""A build step of Cloud Build's docker builder: what it is asked, and the digest of what it would make."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

DOCKER = "gcr.io/cloud-builders/docker"
_VALUED = {"--file": "file", "-f": "file", "--tag": "tag", "-t": "tag", "--label": "label", "--build-arg": "build_arg"}


class StepError(Exception):
    """The step ends with an exit code other than 0, and this on its log."""


class SourceError(Exception):
    """The source archive can't be unpacked."""


@dataclass(frozen=True)
class DockerBuild:
    """``docker build``'s arguments, as far as this double knows them; paths are relative to the source."""

    dockerfile: str
    tags: Sequence[str]
    labels: Mapping[str, str]
    build_args: Mapping[str, str]
    context: str


def parse(args: Sequence[str]) -> DockerBuild:
    """Raises ``StepError`` for anything that ``docker build`` or this double doesn't know."""
    if not args or args[0] != "build":
        raise StepError(f"docker: this double knows only docker build, not {list(args[:1])}")
    values: dict[str, list[str]] = {"file": [], "tag": [], "label": [], "build_arg": []}
    contexts = []
    words = iter(args[1:])
    for word in words:
        option, equals, value = word.partition("=")
        if option in _VALUED:
            values[_VALUED[option]].append(value if equals else next(words, ""))
        elif word.startswith("-"):
            raise StepError(f"unknown flag: {word}")
        else:
            contexts.append(word)
    if len(contexts) != 1:
        raise StepError(f'"docker build" requires exactly 1 argument, but got {contexts}')
    return DockerBuild(
        dockerfile=values["file"][-1] if values["file"] else f"{contexts[0]}/Dockerfile",
        tags=tuple(values["tag"]),
        labels=dict(label.split("=", 1) for label in values["label"] if "=" in label),
        build_args=dict(arg.split("=", 1) for arg in values["build_arg"] if "=" in arg),
        context=contexts[0],
    )


class Source:
    """The source archive, a ``.tar.gz``."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def check_has(self, dockerfile: str) -> None:
        """Raises ``StepError`` where the file is missing."""
        wanted = PurePosixPath(dockerfile)
        with self._archive() as archive:
            if not any(PurePosixPath(member.name) == wanted and member.isfile() for member in archive):
                raise StepError(f"unable to prepare context: there is no Dockerfile {dockerfile}")

    def digest(self) -> str:
        """``sha256:…`` of names, kinds, modes and contents: not an image's, but the same for the same content."""
        parts = []
        with self._archive() as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                body = content.read() if content else member.linkname.encode()
                entry = (str(PurePosixPath(member.name)), member.type.decode("latin-1"), str(member.mode & 0o111))
                parts.append("\0".join([*entry, hashlib.sha256(body).hexdigest()]))
        return f"sha256:{hashlib.sha256(chr(10).join(sorted(parts)).encode()).hexdigest()}"

    def unpack(self, folder: Path) -> None:
        """Into an empty folder, and nowhere else. Raises ``SourceError``."""
        with self._archive() as archive:
            archive.extractall(folder, filter="tar")

    @contextmanager
    def _archive(self) -> Iterator[tarfile.TarFile]:
        self._file.seek(0)
        try:
            with tarfile.open(fileobj=self._file, mode="r:gz") as archive:
                for member in archive.getmembers():
                    path = PurePosixPath(member.name)
                    if path.is_absolute() or ".." in path.parts:
                        raise SourceError(f"the archive has a member outside of it: {member.name!r}")
                yield archive
        except (tarfile.TarError, OSError, EOFError) as error:
            raise SourceError(f"the archive can't be read: {error}") from error
