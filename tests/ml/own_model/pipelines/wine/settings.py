"""The keys under ``model`` in this pipeline's settings. Light: read by Airflow as well."""

from pydantic import BaseModel, ConfigDict, Field


class ModelSettings(BaseModel):
    """The classifier's size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = Field(16, ge=1, description="Units of the hidden layer.")
