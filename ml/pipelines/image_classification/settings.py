"""The keys under ``model`` in this pipeline's settings. Light: read by Airflow as well, so no tensorflow here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ml.kinds.image_classification.backbone_names import BACKBONES, SMALL_CNN


class ModelSettings(BaseModel):
    """Backbone, input size and augmentation of the image classifier."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = Field(
        "small_cnn",
        description="small_cnn (trains from scratch in seconds) or the name of a keras.applications model, such as "
        "ResNet50, EfficientNetB0, MobileNetV2.",
    )
    weights: str = Field("none", description="none, imagenet, or the path of a weights file; small_cnn takes none.")
    fine_tune: bool = Field(False, description="Whether the backbone's own weights train too.")
    image_size: int = Field(32, ge=8, le=1024, description="Side in pixels to which every image is resized.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of features dropped before the last layer.")
    flip: Literal["none", "horizontal", "horizontal_and_vertical"] = Field(
        "none", description="Random flips, for each image on its own."
    )
    max_shift: float = Field(0.1, ge=0, lt=0.5, description="Random shift, as a share of the side.")
    max_rotation: float = Field(0.03, ge=0, le=0.5, description="Random rotation, as a share of a full turn.")
    max_contrast: float = Field(0.2, ge=0, lt=1, description="Random change of contrast.")

    @field_validator("backbone")
    @classmethod
    def _known(cls, backbone: str) -> str:
        if backbone not in BACKBONES:
            raise PydanticCustomError("backbone", "allowed: {names}", {"names": ", ".join(BACKBONES)})
        return backbone

    @field_validator("weights")
    @classmethod
    def _loadable(cls, weights: str, checked: ValidationInfo) -> str:
        if weights != "none" and checked.data.get("backbone") == SMALL_CNN:
            raise PydanticCustomError("weights", "small_cnn takes none: choose a keras.applications backbone")
        return weights
