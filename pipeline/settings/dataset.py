"""Settings that decide what is in ``nol.zarr``: places, dates, scenes, quality, shards."""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.settings.section import InputPlace, Section

SEASONS = 4
"""Seasons of every sample."""

LARGEST_PATCH_PIXELS = 1134
"""The largest multiple of 6 of which one answer of Earth Engine, 48 MiB at most, holds 13 bands of
two bytes and a byte of mask. Source of the limit and of the byte:
https://developers.google.com/earth-engine/apidocs/ee-data-computepixels and google/Xee, which
counts it."""


class GridSettings(Section):
    """The pixel grid of one sample."""

    pixels: int = Field(
        264,
        ge=6,
        le=LARGEST_PATCH_PIXELS,
        multiple_of=6,
        description=(
            "Rows and columns of a patch at 10 m; a multiple of 6, so that 60 m pixels nest"
        ),
    )


class LocationSettings(Section):
    """Where the samples lie."""

    sampler: Literal["cities", "land", "area", "points", "ssl4eo"] = Field(
        "cities",
        description=(
            "cities: Gaussian around large cities; land: uniform over land; area: uniform"
            " in an area of interest; points: a table of yours; ssl4eo: the SSL4EO-S12 "
            "v1.1 list"
        ),
    )
    count: int | None = Field(
        32,
        ge=1,
        le=5_000_000,
        description="How many candidates to draw; for points and ssl4eo null takes the whole table",
    )
    area: str | None = Field(
        None,
        description=(
            "sampler area: a GeoJSON or GeoPackage file (or its URL, s3://bucket/area.geojson), or"
            " WKT, in longitude and latitude"
        ),
    )
    table: InputPlace | None = Field(
        None,
        description=(
            "samplers points and ssl4eo: a CSV or GeoParquet file, or its URL, with lon and lat"
            " (and optionally location_id, epsg, split, date_0 to date_3; left and top, in metres"
            " of epsg, fix the patch's corner); read once, so that later only rows at its end count"
        ),
    )
    city_count: int = Field(
        10_000,
        ge=1,
        le=10_000,
        description="sampler cities: how many of the largest cities to draw around",
    )
    city_spread_km: float = Field(
        50.0,
        gt=0,
        le=500,
        description=(
            "sampler cities: standard deviation of the distance to the city centre in "
            "each direction, km"
        ),
    )
    leave_out: tuple[str, ...] = Field(
        (),
        description=(
            'Places to reject unseen, by location_id in quotes, e.g. ["0000021"], so that a scene'
            " that the service never delivers does not hold up a build; what is in the store stays"
        ),
    )
    validation_share: float = Field(
        0.01, ge=0, lt=1, description="Share of the locations whose split is `validation`"
    )


class SeasonSettings(Section):
    """When the scenes were taken (SSL4EO-S12: four dates, shifted by up to a year)."""

    reference_dates: Annotated[
        tuple[dt.date, ...], Field(min_length=SEASONS, max_length=SEASONS)
    ] = Field(
        (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22)),
        description="Four ascending dates, one a season",
    )
    shift_days: int = Field(
        365,
        ge=0,
        le=3650,
        description=(
            "All four dates of a location move back together by a random number of days below this"
        ),
    )
    half_window_days: int = Field(
        15, ge=1, le=45, description="Scenes are searched this many days before and after the date"
    )

    @model_validator(mode="after")
    def _dates_ascend(self) -> Self:
        if list(self.reference_dates) != sorted(set(self.reference_dates)):
            dates = ", ".join(map(str, self.reference_dates))
            raise ValueError(f"reference_dates must ascend, got {dates}")
        return self


class SelectionSettings(Section):
    """Which scenes of a season are taken."""

    rule: Literal["paper", "dw_first"] = Field(
        "dw_first",
        description=(
            "paper: the newest clear Sentinel-2 scene, then its Dynamic World twin; "
            "dw_first: the newest clear scene that has a twin (keeps about twice as many "
            "locations)"
        ),
    )
    cloud_cover_max: float = Field(
        20.0, gt=0, le=100, description="Scenes with this cloud cover or more are left out, percent"
    )


class QualitySettings(Section):
    """Which fetched pixels are good enough."""

    nodata_share_max: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Largest share of pixels without data in Sentinel-2 or Sentinel-1",
    )
    label_share_min: float = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "Smallest share of pixels with a Dynamic World label in each season; 0 keeps seasons"
            " under local cloud, as SSL4EO-S12 and NoLDO-S12 do, and wastes no request"
        ),
    )
    s1_floor_db: float = Field(
        -35.0,
        description=(
            "VV below this is implausible (border noise), dB; VH of calm water is as low as that"
        ),
    )
    s1_ceiling_db: float = Field(30.0, description="VV or VH above this is implausible, dB")
    s1_implausible_share_max: float = Field(
        0.02, ge=0, le=1, description="Largest share of implausible Sentinel-1 pixels"
    )

    @model_validator(mode="after")
    def _floor_is_below_ceiling(self) -> Self:
        if self.s1_floor_db >= self.s1_ceiling_db:
            raise ValueError(
                f"s1_floor_db = {self.s1_floor_db:g} must be below "
                f"s1_ceiling_db = {self.s1_ceiling_db:g}"
            )
        return self


class StoreSettings(Section):
    """How the Zarr stores are cut."""

    shard_size: int = Field(
        64,
        ge=1,
        le=1024,
        description="Locations per shard: the unit of a job, of a write and of resuming",
    )
