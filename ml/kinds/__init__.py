"""Kinds of model, one package each; what a kind has to tell is in :mod:`ml.kinds.kind`.

``images`` and ``classification`` are no kinds: they hold what several have in common. A pipeline may bring a kind of
its own, ``kind.py`` in its folder, with ``kind: own`` in its settings.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import CodeError, SettingsError
from ml.kinds.kind import Kind
from ml.user_code import user_code

if TYPE_CHECKING:
    from ml.settings import Settings

#: The value of the setting ``kind`` for a pipeline with a ``kind.py``.
OWN = "own"


def kind_names() -> list[str]:
    """The kinds that come with Respan."""
    return sorted(file.parent.name for file in Path(__file__).parent.glob("*/kind.py"))


def allowed_kinds() -> str:
    return f"allowed: {', '.join(kind_names())}, or {OWN} for a kind.py in the pipeline's folder"


def kind_of(settings: Settings) -> Kind:
    """The kind of the pipeline, see :func:`load_kind`."""
    from ml.home import pipeline_folder

    folder = pipeline_folder(settings.name) if settings.kind == OWN else Path()
    return load_kind(settings.kind, settings.name, folder)


def load_kind(kind: str, pipeline: str, folder: Path) -> Kind:
    """The kind that the settings of the pipeline in ``folder`` name; they are known to be valid.

    Raises ``SettingsError`` where an own kind has no ``kind.py``, ``CodeError`` where that can't be imported.
    """
    if kind == OWN:
        return _own(pipeline, folder)
    loaded: Kind = importlib.import_module(f"ml.kinds.{kind}.kind").KIND
    return loaded


def _missing_facts(kind: Kind) -> list[str]:
    """The class attributes that the kind's classes declare and none of them gives: later they would stop a release."""
    declared = {name for base in type(kind).__mro__ for name in inspect.get_annotations(base)}
    return sorted(name for name in declared if not hasattr(kind, name))


def _own(pipeline: str, folder: Path) -> Kind:
    from ml.pipeline_modules import bind_pipeline

    file = folder / "kind.py"
    if not file.is_file():
        raise SettingsError(f"{file} is missing: with `kind: {OWN}` it has to define KIND")
    bind_pipeline(pipeline, folder)
    with user_code(folder):
        kind = getattr(importlib.import_module(f"ml.pipelines.{pipeline}.kind"), "KIND", None)
    if not isinstance(kind, Kind):
        raise CodeError(f"{file}: KIND has to be an instance of a subclass of ml.kinds.kind.Kind")
    if missing := _missing_facts(kind):
        raise CodeError(f"{file}: {type(kind).__name__} has to say what {', '.join(missing)} is: see ml/kinds/kind.py")
    return kind
