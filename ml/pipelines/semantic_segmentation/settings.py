"""The keys under ``model`` in this pipeline's settings. Light: read by Airflow as well, so no tensorflow here."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ml.kinds.semantic_segmentation.encoder_names import ENCODERS, SMALL
from ml.kinds.semantic_segmentation.settings import SegmentationSettings


class ModelSettings(SegmentationSettings):
    """Classes, encoder, input size and augmentation of the U-Net."""

    encoder: str = Field(
        SMALL, description="small (trains from scratch in a minute) or MobileNetV2: the U-Net's half that looks."
    )
    weights: str = Field("none", description="none, imagenet, or the path of a weights file; small takes none.")
    fine_tune: bool = Field(False, description="Whether the encoder's own weights train too, when they are loaded.")
    image_size: int = Field(
        64, ge=32, le=1024, description="Side in pixels to which every image is resized: a multiple of 16, or of 32."
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of features dropped between encoder and decoder.")
    flip: Literal["none", "horizontal", "horizontal_and_vertical"] = Field(
        "none", description="Random flips, for each image and its mask on their own."
    )
    max_shift: float = Field(0.1, ge=0, lt=0.5, description="Random shift, as a share of the side.")
    max_rotation: float = Field(0.03, ge=0, le=0.5, description="Random rotation, as a share of a full turn.")
    max_contrast: float = Field(0.2, ge=0, lt=1, description="Random change of contrast.")

    @field_validator("encoder")
    @classmethod
    def _known(cls, encoder: str) -> str:
        if encoder not in ENCODERS:
            raise PydanticCustomError("encoder", "allowed: {names}", {"names": ", ".join(ENCODERS)})
        return encoder

    @field_validator("weights")
    @classmethod
    def _loadable(cls, weights: str, checked: ValidationInfo) -> str:
        if weights != "none" and checked.data.get("encoder") == SMALL:
            raise PydanticCustomError("weights", "the encoder small takes none: choose MobileNetV2")
        return weights

    @field_validator("image_size")
    @classmethod
    def _halved(cls, image_size: int, checked: ValidationInfo) -> int:
        step = ENCODERS.get(checked.data.get("encoder", SMALL), 1)
        if image_size % step:
            raise PydanticCustomError("image_size", "the encoder needs a multiple of {step}", {"step": step})
        return image_size
