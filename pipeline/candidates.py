"""What the archive offers for one (location, season): the values between asking and choosing."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class OpticalScene:
    """Metadata of a Sentinel-2 scene.

    Attributes:
        index: ``system:index``, shared with the Dynamic World twin.
        time: Sensing start, UTC milliseconds since 1970.
        cloud_cover: CLOUDY_PIXEL_PERCENTAGE.
        mgrs_tile: E.g. ``33UUP``.
        processing_baseline: E.g. ``02.09``; empty if the archive does not say.
    """

    index: str
    time: int
    cloud_cover: float
    mgrs_tile: str
    processing_baseline: str


@dataclass(frozen=True)
class RadarScene:
    """Metadata of a Sentinel-1 scene.

    Attributes:
        index: ``system:index``.
        time: Sensing start, UTC milliseconds since 1970.
        orbit_pass: ``ASCENDING`` or ``DESCENDING``; empty if the archive does not say.
        relative_orbit: 1 to 175; 0 if the archive does not say.
    """

    index: str
    time: int
    orbit_pass: str
    relative_orbit: int


@dataclass(frozen=True)
class SeasonCandidates:
    """The scenes whose footprint holds the whole patch, within the window of one season.

    Attributes:
        window_start: First day searched, UTC.
        window_end: Day after the last one searched, UTC (half-open).
        optical_count: Sentinel-2 scenes, whatever their cloud cover.
        optical: The newest of the clear ones.
        radar: The newest dual-polarised IW Sentinel-1 scenes.
        labels: Indices of the Dynamic World images that touch the patch.
    """

    window_start: dt.date
    window_end: dt.date
    optical_count: int
    optical: tuple[OpticalScene, ...]
    radar: tuple[RadarScene, ...]
    labels: frozenset[str]
