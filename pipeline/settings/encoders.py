"""Settings of published weights: where they lie, and which licences are accepted."""

from pathlib import Path

from pydantic import Field

from pipeline.settings.section import Section


class WeightSettings(Section):
    """Published weights: each is downloaded once, or stands in from a file of yours."""

    folder: Path = Field(
        Path("results/weights"), description="Downloaded weights are kept here, one file each"
    )
    accept_noncommercial: bool = Field(
        False, description="true: weights whose licence forbids commercial use may be used"
    )
    files: dict[str, Path] = Field(
        default_factory=dict,
        description="Local files instead of downloads, by the name in encoders.csv",
    )
