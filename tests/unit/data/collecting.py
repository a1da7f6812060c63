"""Samples for batches, and what is where."""

from __future__ import annotations

from ml import layout
from ml.settings import Settings
from ml.storage import Storage


def collect(storage: Storage, *names: str) -> None:
    for name in names:
        storage.write(layout.inbox(name), name.encode())


def names(storage: Storage, prefix: str) -> set[str]:
    return {info.name.removeprefix(f"{prefix}/") for info in storage.list(prefix)}


def with_data(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={"data": settings.data.model_copy(update=changes)})
