"""What every table of places must hold, and the one line that says which rows do not."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import PipelineError

UTM_LATITUDES = -80.0, 84.0
"""Where UTM is defined, degrees. Source: NGA.SIG.0012, section 2-1."""

ZONE_REACH_DEGREES = 9.0
"""Farthest a place may lie from the central meridian of the zone given for it: the zone's own
half-width of 3 degrees and one zone more, for scenes of the neighbouring zone."""

ROWS_SHOWN = 5

_LOCATION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_exists(path: Path) -> None:
    """Refuse a table that is not there.

    Raises:
        PipelineError: There is no such file.
    """
    if not path.is_file():
        raise PipelineError(f"locations.table = {str(path)!r} does not exist; correct the path")


def check_coordinates(path: Path, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
    """Refuse coordinates that are not on the Earth or not in a UTM zone, all degrees.

    Raises:
        PipelineError: Some are outside; the line says so if lon and lat look swapped.
    """
    off_pole = np.abs(lat) > 90.0
    if off_pole.any():
        swapped = np.abs(lon[off_pole]).max() <= 90.0 and np.abs(lat).max() <= 180.0
        remedy = "; lon and lat seem to be swapped" if swapped else ""
        raise bad_rows(path, "lat is outside -90..90", off_pole, lat, remedy)
    off_turn = np.abs(lon) > 180.0
    if off_turn.any():
        raise bad_rows(path, "lon is outside -180..180", off_turn, lon)
    south, north = UTM_LATITUDES
    polar = (lat < south) | (lat > north)
    if polar.any():
        raise bad_rows(
            path, f"lat is outside {south:g}..{north:g}, where UTM is defined", polar, lat
        )


def check_location_ids(path: Path, ids: NDArray[np.object_]) -> None:
    """Refuse ids that could be anything but a plain name, and ids given twice.

    Raises:
        PipelineError: Some are.
    """
    odd = np.array([not _LOCATION_ID.fullmatch(value) for value in ids], bool)
    if odd.any():
        raise bad_rows(path, "location_id is not 1 to 64 letters, digits, '-' and '_'", odd, ids)
    repeated = pd.Series(ids).duplicated().to_numpy()
    if repeated.any():
        raise bad_rows(path, "location_id was already given to an earlier row", repeated, ids)


def check_zones(path: Path, epsgs: NDArray[np.int64], lon: NDArray[np.float64]) -> None:
    """Refuse codes that are not a UTM zone near the place.

    Raises:
        PipelineError: Some are.
    """
    zone = epsgs % 100
    is_utm = np.isin(epsgs // 100, (326, 327)) & (zone >= 1) & (zone <= 60)
    central_meridian = zone * 6.0 - 183.0
    distance = np.abs((lon - central_meridian + 180.0) % 360.0 - 180.0)
    far = ~is_utm | (distance > ZONE_REACH_DEGREES)
    if far.any():
        raise bad_rows(path, "epsg is not a UTM zone near the place", far, epsgs)


def bad_rows(
    path: Path, mistake: str, bad: NDArray[np.bool_], values: NDArray[Any], remedy: str = ""
) -> PipelineError:
    """The error for rows of a table that cannot be used.

    Args:
        path: The table.
        mistake: What is wrong with them.
        bad: Which rows are wrong, (row,).
        values: The values in question, (row,).
        remedy: What to add at the end of the line.
    """
    rows = np.flatnonzero(bad)
    shown = ", ".join(str(row + 1) for row in rows[:ROWS_SHOWN])
    more = f" and {len(rows) - ROWS_SHOWN} more" if len(rows) > ROWS_SHOWN else ""
    label = "row" if len(rows) == 1 else "rows"
    value = str(values[rows[0]])[:80]
    return PipelineError(f"{path}: {mistake} in {label} {shown}{more}, e.g. {value!r}{remedy}")
