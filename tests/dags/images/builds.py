"""Building with an engine at hand, as the operator does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from respan.images.building import build_image
from respan.images.credentials import RegistryLogin
from respan.images.engines import ENGINES
from respan.images.process import EngineProcess
from respan.images.request import BuiltImage, ImageRequest, content_key

from tests.dags.images.engines_at_hand import EngineAtHand

FIRST, SECOND = "a" * 40, "b" * 40


def a_request(repository: str, context: Path, **others: Any) -> ImageRequest:
    values: dict[str, Any] = {
        "repository": repository,
        "revision": FIRST,
        "content": content_key("tree", "Dockerfile", "any"),
        "context": context,
        "dockerfile": "Dockerfile",
        "source": "https://git.example/respan.git",
        "push": True,
        "timeout_seconds": 120,
    }
    return ImageRequest(**{**values, **others})


class Builder:
    """Keeps what was logged."""

    def __init__(self, engine: EngineAtHand, login: RegistryLogin | None = None) -> None:
        self.log: list[str] = []
        self.process: EngineProcess | None = None
        self._engine = engine
        self._login = login

    def build(self, request: ImageRequest) -> BuiltImage:
        self.process = EngineProcess(self._engine.environment, request.timeout_seconds, self.log.append)
        return build_image(ENGINES[self._engine.builder](self.process, self._login, "registry"), self.process, request)

    @property
    def builds(self) -> int:
        return sum(line.split()[1:2] == ["build"] and "--tag" in line for line in self.log)
