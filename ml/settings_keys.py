"""Every key of a settings file with its meaning, as ``settings --schema`` prints it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ml.settings import Settings


@dataclass(frozen=True, slots=True)
class DocumentedKey:
    """One key of a settings file: ``evaluation.threshold``, its default (None where it is required), what is allowed,
    and what it means."""

    name: str
    default: Any
    required: bool
    allowed: str
    meaning: str

    @property
    def without_it(self) -> str:
        """What holds where a file doesn't have the key, for people."""
        return "required" if self.required else json.dumps(self.default)


def documented_keys(settings: Settings) -> list[DocumentedKey]:
    """Every key that a settings file may hold, the pipeline's own under ``model`` included, in the file's order."""
    own = type(settings.model)
    return [
        *_documented(Settings, ""),
        *(_documented(own, "model.") if isinstance(settings.model, BaseModel) else ()),
    ]


def _documented(section: type[BaseModel], prefix: str) -> Iterator[DocumentedKey]:
    allowed = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type(BaseModel)):  # in Python 3.10 list[str] passes for a type
            yield from _documented(field.annotation, f"{prefix}{name}.")
        elif f"{prefix}{name}" not in ("name", "model"):
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            yield DocumentedKey(
                f"{prefix}{name}", default, field.is_required(), _allowed(allowed[name]), field.description or ""
            )


def _allowed(schema: dict[str, Any]) -> str:
    """A JSON schema's type and limits in a few words."""
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_allowed(choice) for choice in schema[union])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " ".join(
        [schema.get("type", "any"), *(f"{sign} {schema[key]:g}" for key, sign in limits.items() if key in schema)]
    )
