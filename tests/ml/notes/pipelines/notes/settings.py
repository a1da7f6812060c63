from pydantic import BaseModel


class ModelSettings(BaseModel):
    """Nothing can be set."""
