from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml import layout
from ml.freezing import freeze
from ml.settings import Settings
from ml.settings_sections import DataSettings
from ml.storage import Storage, open_storage


class Inbox:
    """A pipeline's storage with an inbox to drop pictures into, and batches frozen of it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.storage: Storage = open_storage(f"file://{folder}").child("digits")
        self.settings = settings
        self.folder = Path(self.storage.uri(layout.INBOX))

    def drop(self, name: str, content: bytes) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def fill(self, counts: dict[str, int], *, first: int = 0) -> None:
        """``counts`` new pictures for each label; another ``first`` gives other pictures."""
        for label, count in counts.items():
            for number in range(first, first + count):
                self.drop(f"{label}/{number}.png", picture(f"{label}-{number}"))

    def freeze(self, run: str = "run") -> str:
        return freeze(self.storage, self.settings, run).id


def picture(seed: str, kind: str = "PNG", side: int = 8, **options: object) -> bytes:
    """An encoded image that depends on ``seed`` alone; other seeds give other pixels."""
    pixels = np.random.default_rng(list(seed.encode())).integers(0, 256, (side, side, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def draw() -> Callable[..., bytes]:
    return picture


@pytest.fixture
def settings() -> Settings:
    return Settings(name="digits", kind="image_classification", data=DataSettings(max_refused_share=0.5))


@pytest.fixture
def inbox(tmp_path: Path, settings: Settings) -> Inbox:
    return Inbox(tmp_path / "storage", settings)
