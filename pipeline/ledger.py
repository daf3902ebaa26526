"""What became of every (location, season): the vocabulary and the table that records it."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where one (location, season) stands."""

    SELECTED = "selected"
    """Scenes were chosen, pixels not fetched yet."""
    REJECTED = "rejected"
    """The archive was asked and holds nothing fit; asking again would change nothing."""
    FAILED = "failed"
    """We could not find out; the next run tries again."""
    DONE = "done"
    """Pixels are in the store."""


class Reason(StrEnum):
    """Why a (location, season) was rejected or failed; empty otherwise."""

    NONE = ""
    NO_S2 = "no_s2"
    """Rejected: no Sentinel-2 scene covers the patch in the window."""
    CLOUD = "cloud"
    """Rejected: Sentinel-2 scenes cover it, all too cloudy."""
    NO_DW = "no_dw"
    """Rejected: no Dynamic World label for the clear scenes."""
    NO_S1 = "no_s1"
    """Rejected: no dual-polarised IW Sentinel-1 scene covers the patch in the window."""
    NODATA = "nodata"
    """Rejected: pixels without data inside the patch, or too few labelled ones."""
    IMPLAUSIBLE_S1 = "implausible_s1"
    """Rejected: backscatter outside the plausible range (border noise)."""
    GONE = "gone"
    """Rejected: the archive no longer has the chosen scene."""
    OTHER_SEASON = "other_season"
    """Rejected: this season is fine, another one of the location is not."""
    QUOTA = "quota"
    """Failed: throttled until patience ran out."""
    TIMEOUT = "timeout"
    """Failed: no answer in time."""
    SERVER_ERROR = "server_error"
    """Failed: errors or garbage from the server until patience ran out."""
    BUDGET = "budget"
    """Failed: the run's request or compute budget was used up."""


@dataclass(frozen=True)
class SeasonRecord:
    """One row of the ledger: one (location, season).

    Attributes:
        sample: Fixed index of the location in the candidate list and in the store.
        location_id: Zero-padded text.
        season: 0 to 3, ascending in time.
        window_start: First day searched, UTC.
        window_end: Day after the last one searched, UTC (half-open).
        status: See `Status`.
        reason: See `Reason`.
        s2_id: Sentinel-2 system:index, also that of its Dynamic World twin; empty if none.
        s1_id: Sentinel-1 system:index; empty if none.
        dw_id: Dynamic World system:index; empty if none.
        s2_time: Sensing start, UTC milliseconds since 1970; 0 if none.
        s1_time: The same of Sentinel-1.
        cloud_cover: CLOUDY_PIXEL_PERCENTAGE of the Sentinel-2 scene; NaN if none.
        mgrs_tile: Sentinel-2 tile, e.g. ``33UUP``.
        processing_baseline: Of the Sentinel-2 scene, e.g. ``02.09``.
        s1_orbit_pass: ``ASCENDING`` or ``DESCENDING``.
        s1_relative_orbit: Relative orbit number; 0 if none.
    """

    sample: int
    location_id: str
    season: int
    window_start: dt.date
    window_end: dt.date
    status: Status
    reason: Reason = Reason.NONE
    s2_id: str = ""
    s1_id: str = ""
    dw_id: str = ""
    s2_time: int = 0
    s1_time: int = 0
    cloud_cover: float = float("nan")
    mgrs_tile: str = ""
    processing_baseline: str = ""
    s1_orbit_pass: str = ""
    s1_relative_orbit: int = 0
