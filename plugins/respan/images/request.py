"""What is to be built."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from ml.errors import NotFoundError, SettingsError

REVISION_LABEL = "org.opencontainers.image.revision"
SOURCE_LABEL = "org.opencontainers.image.source"
CONTENT_LABEL = "respan.content"

_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*")


class BuiltImage(TypedDict):
    """What the task returns.

    ``image`` names the image by its digest, ``<repository>@sha256:…``; where the engine knows none for an image that
    is not pushed (docker), by its id, ``sha256:…``; None where none is built. ``tag`` is the one it was built or tagged
    under. ``reused``: an image with the same content was there already.
    """

    image: str | None
    tag: str | None
    reused: bool


NO_IMAGE = BuiltImage(image=None, tag=None, reused=False)


@dataclass(frozen=True)
class ImageRequest:
    """An image of the checkout in the folder ``context``.

    :param repository: the image's name without a tag.
    :param revision: the full commit id, which becomes a tag.
    :param content: :func:`content_key` of what the image is made from, which becomes another one.
    :param dockerfile: path below ``context``.
    :param source: where the code comes from; a label.
    """

    repository: str
    revision: str
    content: str
    context: Path
    dockerfile: str
    source: str
    push: bool
    timeout_seconds: float

    @property
    def revision_tag(self) -> str:
        return f"{self.repository}:{self.revision}"

    @property
    def content_tag(self) -> str:
        """The tag by which an image with the same content is found again, here or in the registry."""
        return f"{self.repository}:content-{self.content}"

    @property
    def labels(self) -> dict[str, str]:
        return {REVISION_LABEL: self.revision, SOURCE_LABEL: self.source, CONTENT_LABEL: self.content}

    def check(self) -> None:
        """Raises ``SettingsError`` for a name that is none, and ``NotFoundError`` where there is no Dockerfile."""
        if not _REPOSITORY.fullmatch(self.repository):
            raise SettingsError(
                f"ci_cd.image.repository is {self.repository!r}: give a name without a tag, in lower case, such as "
                "registry.example/team/respan"
            )
        file = self.context / self.dockerfile
        if not file.is_file() or not file.resolve().is_relative_to(self.context.resolve()):
            raise NotFoundError(
                f"there is no file {self.dockerfile} in revision {self.revision}: add it, or name another one with "
                "ci_cd.image.dockerfile"
            )


def content_key(tree: str, dockerfile: str, builder: str) -> str:
    """SHA-256 (hex) of all that an image is made from: the whole tree, its Dockerfile's path, and what builds it.

    The tree counts as a whole: only the engine knows what ``.dockerignore`` leaves out.
    """
    return hashlib.sha256("\0".join((tree, dockerfile, builder)).encode()).hexdigest()
