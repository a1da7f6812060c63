"""The keys under ``model`` that every segmenter's settings have. Light: read where there is no tensorflow."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ml.labels import normal_label


class SegmentationClass(BaseModel):
    """What pixels can show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = Field(ge=0, le=255, description="Its pixels' value in masks.")
    name: Annotated[str, AfterValidator(normal_label)] = Field(
        min_length=1, pattern=r"^\S.*$", description="Its name in reports and metrics."
    )
    colour: str = Field(pattern=r"^#[0-9a-fA-F]{6}$", description="Its colour where masks are shown to people.")


class SegmentationSettings(BaseModel):
    """Which classes there are. A pipeline's ``ModelSettings`` extends it by how they are learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[SegmentationClass, ...] = Field(
        min_length=2,
        description="The classes: id (0 to 255, the pixels' value in masks), name, colour (#rrggbb) of each.",
    )
    ignore_index: int | None = Field(
        255, ge=0, le=255, description="Value of pixels that are neither learnt nor judged; null: there is none."
    )

    @field_validator("classes")
    @classmethod
    def _told_apart(cls, classes: tuple[SegmentationClass, ...]) -> tuple[SegmentationClass, ...]:
        for key in ("id", "name"):
            values = [getattr(each, key) for each in classes]
            if twice := [value for value in values if values.count(value) > 1]:
                raise PydanticCustomError(
                    "classes", "two classes have the {key} {value}", {"key": key, "value": repr(twice[0])}
                )
        return classes

    @field_validator("ignore_index")
    @classmethod
    def _no_class(cls, ignore_index: int | None, checked: ValidationInfo) -> int | None:
        for each in checked.data.get("classes", ()):
            if each.id == ignore_index:
                raise PydanticCustomError("ignore_index", "it is the id of the class {name}", {"name": each.name})
        return ignore_index

    @property
    def ids(self) -> list[int]:
        return [each.id for each in self.classes]

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.classes]
