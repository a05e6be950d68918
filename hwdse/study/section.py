"""A table of a study file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Keys with their types; a key that it does not have is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
