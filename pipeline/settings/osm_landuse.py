"""The section ``osm_landuse`` of the settings."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.settings.section import Section

_EFFORT = {
    "contact",
    "requests_per_second",
    "request_timeout_s",
    "attempts",
    "backoff_s",
    "patience_s",
    "require_legend",
    "vetoes",
}
"""Settings that change no byte of the store; vetoes count by their content."""


class OsmLanduseSettings(Section):
    """Labels from OSMLanduse: where they come from, how they are read, which tiles are kept."""

    service: str = Field(
        "simulated",
        pattern=r"^(simulated|https?://\S+)$",
        description=(
            "simulated: a WMS server over the simulated Earth, started by the run; or the "
            "URL of a WMS, e.g. https://maps.heigit.org/osmlanduse/service (ask HeiGIT before "
            "a bulk run)"
        ),
    )
    layer: str = Field(
        "osmlanduse:osm_lulc", min_length=1, description="Name of the land-use layer"
    )
    image_format: Literal["image/png"] = Field(
        "image/png", description="Picture format; lossy formats invent classes along every edge"
    )
    contact: str = Field(
        "",
        pattern=r"^[\x20-\x7e]*$",
        description="Mail or web address sent with each request, for the operator to reach you",
    )
    requests_per_second: float = Field(
        1.0,
        gt=0,
        le=100,
        description="Most requests a second by all builds of one folder of results together",
    )
    request_timeout_s: float = Field(
        120.0, gt=0, description="Longest silence within one answer, seconds; whole answer: twice"
    )
    attempts: int = Field(5, ge=1, le=50, description="Attempts at one request")
    backoff_s: float = Field(
        2.0, gt=0, le=60, description="Pause before the second attempt, doubling after, seconds"
    )
    patience_s: float = Field(
        900.0, gt=0, description="Longest time spent on the attempts at one request, seconds"
    )
    require_legend: bool = Field(
        True,
        description="Refuse a server without a legend picture, whose colours cannot be verified",
    )
    ground_resolution_m: float = Field(
        10 / 3,
        ge=1.0,
        le=10.0,
        description=(
            "Pixels of a picture are at most this large on the ground, metres; 5 spares the "
            "server two thirds of the pixels and loses 0.3 percent of the labels"
        ),
    )
    colour_limit: int = Field(
        8,
        ge=0,
        le=12,
        description=(
            "A pixel belongs to a class if no channel differs by more than this from its "
            "legend colour; 12 is half the distance of the closest two colours"
        ),
    )
    unknown_share_max: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Largest share of picture pixels whose colour is in no legend row",
    )
    decoding: Literal["majority", "released"] = Field(
        "majority",
        description=(
            "majority: colour limit and majority of 16 samples a pixel; released: nearest "
            "colour, bilinear warp and two openings, as the released dataset was made"
        ),
    )
    cleaning: Literal["none", "sieve", "opening"] = Field(
        "none",
        description=(
            "decoding majority: none; sieve: patches under 4 pixels become no label; "
            "opening: the paper's 3 x 3 cross, which also erases lines under 3 pixels"
        ),
    )
    min_agreement: float = Field(
        0.5,
        ge=0,
        le=1,
        description=(
            "Smallest agreement of a tile with its Dynamic World labels; ours, the paper's "
            "threshold is not known to us"
        ),
    )
    min_joint_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Smallest share of a tile's pixels labelled in both OSMLanduse and DW; ours",
    )
    plausible_agreement: float = Field(
        0.3,
        ge=0,
        le=1,
        description=(
            "The build stops when all tiles together agree less than this: labels in another "
            "numbering of the classes agree by about 0.17"
        ),
    )
    padding: Literal["zero", "edge"] = Field(
        "zero",
        description=(
            "Images of 510 pixels grow to 512 by a border of zeros, or of repeated edge pixels "
            "(the released LMDB code); the labels' border is always unlabelled"
        ),
    )
    test_tiles: int = Field(400, ge=0, description="Size of the test split (the paper: 400)")
    vetoes: Path | None = Field(
        None,
        description="CSV with tile_id, action (drop or correct), label, note: a review's decisions",
    )

    @model_validator(mode="after")
    def _released_cleans_itself(self) -> Self:
        if self.decoding == "released" and self.cleaning != "none":
            raise ValueError(
                f"cleaning = {self.cleaning} does not combine with decoding = released, "
                "which brings its own openings; set cleaning: none"
            )
        return self

    def defining(self) -> dict[str, Any]:
        """The settings that decide the labels and what is kept of them, as plain JSON values."""
        return self.model_dump(mode="json", exclude=_EFFORT)
