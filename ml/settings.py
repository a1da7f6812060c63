"""A pipeline's settings, ``ml/pipelines/<name>/settings.yaml``: every key, its default and what is allowed.

``python -m ml settings <pipeline>`` checks a file and prints what is in force; ``--schema`` prints this page's content
as a table. A key or value that isn't allowed raises ``SettingsError`` naming file, key, and what is allowed.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from ml.ci_cd_settings import CiCdSettings
from ml.errors import SettingsError
from ml.home import pipeline_folder
from ml.kinds import OWN, allowed_kinds, kind_names, load_kind
from ml.pipeline_files import pipeline_files
from ml.settings_section import Section
from ml.settings_sections import (
    DataSettings,
    EvaluationSettings,
    TrainingSettings,
    TunerSettings,
)
from ml.user_code import place
from ml.vertex_settings import VertexSettings

#: Where pipelines run.
Target = Literal["local", "vertex"]

#: Where pydantic locates an error of a dictionary's key, instead of its value.
_KEY = "[key]"


class Settings(Section):
    """A pipeline's settings file. ``model`` belongs to the pipeline: its ``settings.py`` defines ``ModelSettings``."""

    name: str = Field(exclude=True)
    description: str = Field("", description="One line, shown in Airflow.")
    kind: str = Field(
        description="What a sample is and how it is judged: a kind in ml/kinds, or own for the kind.py in its folder."
    )
    target: Target = Field("local", description="Where its runs run; vertex needs storage in gs://.")
    owner: str = Field("respan", description="Airflow's owner of the DAGs.")
    tags: list[str] = Field(default_factory=list, description="Further tags of the DAGs.")
    data: DataSettings = DataSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    training: TrainingSettings = TrainingSettings()
    tuner: TunerSettings = TunerSettings()
    ci_cd: CiCdSettings = CiCdSettings()
    vertex: VertexSettings = VertexSettings()
    model: Any = Field(None, description="The pipeline's own settings.")

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind not in (*kind_names(), OWN):
            raise PydanticCustomError("kind", "{allowed}", {"allowed": allowed_kinds()})
        return kind


def load_settings(pipeline: str, overrides: Mapping[str, str] | None = None) -> Settings:
    """The validated settings of ``pipeline``. Raises ``NotFoundError`` or ``SettingsError`` (one line each).

    ``overrides`` stand in for the file's values, as for one run: dotted key (``training.epochs``) → value as YAML.
    """
    return load_settings_file(pipeline_folder(pipeline) / "settings.yaml", overrides)


def load_settings_file(file: Path, overrides: Mapping[str, str] | None = None) -> Settings:
    """The validated settings in ``file``; the pipeline's name is its folder's."""
    content = _read(file)
    for key, value in (overrides or {}).items():
        _override(content, key, value)
    return _validated(file, content)


def settings_of(pipeline: str, document: Mapping[str, Any]) -> Settings:
    """The settings of ``pipeline`` that were dumped as ``document``, in a process that may not see their file."""
    return _validated(pipeline_folder(pipeline) / "settings.yaml", dict(document))


def _validated(file: Path, content: dict[str, Any]) -> Settings:
    model = content.pop("model", None)
    if model is not None and not isinstance(model, dict):
        raise SettingsError(f"{file}: `model` must hold keys and values, and is {model!r}")
    if "name" in content:
        raise SettingsError(f"{file}: key `name` is not known; a pipeline's name is its folder's, {file.parent.name!r}")
    try:
        settings = Settings.model_validate({**content, "name": file.parent.name})
    except ValidationError as error:
        raise SettingsError(_one_line(file, Settings, error, content)) from error
    own = _model_settings(file.parent)
    try:
        settings = settings.model_copy(update={"model": own.model_validate(model or {})})
    except ValidationError as error:
        raise SettingsError(_one_line(file, own, error, model or {}, "model.")) from error
    try:
        load_kind(settings.kind, settings.name, file.parent).check(settings)
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from error
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text("utf-8"), _UniqueKeys)  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{file} must hold keys and values, and holds {type(content).__name__}")
    return content


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key `{key.value}` is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def code_version(pipeline: str) -> str:
    """SHA-256 (hex) of the pipeline's own files: what its models depend on besides data and Respan itself.

    Tests, the compiled graph and hidden files don't count.
    """
    folder = pipeline_folder(pipeline)
    digest = hashlib.sha256()
    for file in pipeline_files(folder):
        if file.is_file() and file.name != "graph.json":
            content = file.read_bytes()
            digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@lru_cache(maxsize=32)
def _load_model_settings(file: Path, _changed: int) -> type[BaseModel]:
    spec = importlib.util.spec_from_file_location(f"respan_model_settings_{file.parent.name}", file)
    if spec is None or spec.loader is None:
        raise SettingsError(f"{file} can't be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        own = module.ModelSettings
    except Exception as error:
        where = place(error, file.parent) or file
        raise SettingsError(f"{where} can't be loaded: {type(error).__name__}: {error}") from error
    if not (isinstance(own, type) and issubclass(own, BaseModel)):
        raise SettingsError(f"{file}: ModelSettings must be a pydantic model")
    return own


def _model_settings(folder: Path) -> type[BaseModel]:
    file = folder / "settings.py"
    if not file.is_file():
        raise SettingsError(f"{file} is missing: it defines ModelSettings, the keys allowed under `model`")
    return _load_model_settings(file, file.stat().st_mtime_ns)


def _override(content: dict[str, Any], key: str, value: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        below = content.get(section)
        inner = dict(below) if isinstance(below, dict) else {}
        content[section] = inner
        content = inner
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SettingsError(f"the value of {key} is not YAML: {value!r}") from error


def _one_line(file: Path, root: type[BaseModel], error: ValidationError, content: Any, prefix: str = "") -> str:
    first, *others = error.errors()
    path = _keys(first["loc"], content)
    key = prefix + ".".join(path)
    if first["type"] == "extra_forbidden":
        section = _section(root, path[:-1])
        allowed = sorted(set(section.model_fields) - {"name"})
        near = difflib.get_close_matches(path[-1], allowed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        text = f"key `{key}` is not known; {hint}allowed here: {', '.join(allowed)}"
    elif first["type"] == "missing":
        text = f"key `{key}` is missing"
    elif first["type"] == "invalid_key" or first["loc"][-1] == _KEY:
        text = _unquoted(path[:-1], content, prefix)
    else:
        message = first["msg"].removeprefix("Value error, ")
        text = f"key `{key}` is {first['input']!r}: {message[0].lower()}{message[1:]}"
    return f"{file}: {text}" + (f" (and {len(others)} more)" if others else "")


def _keys(location: tuple[str | int, ...], content: Any) -> list[str]:
    """The keys in the file that lead to where an error is: pydantic's location, without the names that it gives to the
    alternatives of a union."""
    path: list[str] = []
    for part in location:
        if isinstance(content, Mapping):
            # A key that isn't text comes as text.
            found = [key for key in content if key == part or str(key) == part]
            if found:
                content = content[found[0]]
            elif part != location[-1]:
                continue
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        elif content is not None:
            continue
        path.append(str(part))
    return path


def _unquoted(path: list[str], content: Any, prefix: str) -> str:
    """What to do about a key of the section at ``path`` that YAML doesn't read as text."""
    for part in path:
        content = next(value for key, value in content.items() if str(key) == part)
    key = next(key for key in content if not isinstance(key, str))
    section = (prefix + ".".join(path)).rstrip(".")
    read_as = (
        "true or false"
        if isinstance(key, bool)
        else "a number"
        if isinstance(key, (int, float))
        else "a date or nothing"
    )
    where = f"`{section}`" if section else "the file"
    return f"{where} has the key {key}, which YAML reads as {read_as}: put it in quotes"


def _section(root: type[BaseModel], path: list[str]) -> type[BaseModel]:
    section = root
    for part in path:
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        if not isinstance(annotation, type(BaseModel)):  # in Python 3.10 list[str] passes for a type
            break
        section = annotation
    return section
