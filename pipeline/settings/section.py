"""The base of every section of the settings."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """A frozen group of settings; a key it does not know is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


def _without_credentials(place: str) -> str:
    authority = place.partition("://")[2].partition("/")[0]
    if "@" in authority:
        raise ValueError("credentials do not belong into settings; set AWS_ACCESS_KEY_ID and so on")
    return place


InputPlace = Annotated[
    str,
    BeforeValidator(lambda place: str(place) if isinstance(place, Path) else place),
    AfterValidator(_without_credentials),
]
"""A path on disk, or a URL in object storage such as ``s3://bucket/places.csv``."""
