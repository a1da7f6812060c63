"""What all sections of a settings file have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """Base of the sections: frozen, unknown keys refused; numbers are finite, and true and false are not numbers.

    YAML reads an unquoted ``yes``, ``no``, ``on`` and ``off`` as true and false, which would pass for 1 and 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(annotation, type(BaseModel)):
            return value
        values = value.values() if isinstance(value, Mapping) else [value]
        if any(isinstance(one, bool) for one in values) and not _allows_truth(annotation):
            raise PydanticCustomError("truth", "true or false is not allowed here: give a number, or text in quotes")
        return value


def _allows_truth(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(map(_allows_truth, getattr(annotation, "__args__", ())))
