"""The places of SSL4EO-S12 v1.1, from the metadata table published with its splits.

The table has four rows for each place, one for each acquisition: ``sample_id``, ``time``, the
``geometry`` of the patch, and the zone ``tile_crs`` of the scene.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.errors import PipelineError
from pipeline.grid import crs_transformer
from pipeline.locations.points import GivenPlace
from pipeline.locations.row_checks import (
    bad_rows,
    check_coordinates,
    check_exists,
    check_location_ids,
    check_zones,
)
from pipeline.locations.seasons import Dates
from pipeline.settings.dataset import SEASONS

_COLUMNS = ["sample_id", "time", "geometry", "tile_crs"]


def read_ssl4eo(path: Path) -> list[GivenPlace]:
    """Read one place for each sample of an SSL4EO-S12 v1.1 metadata table, in the table's order.

    A place keeps its id, its zone and its four acquisition dates. Where the four scenes came in
    several zones, it is the one in which the published outline is upright: the patch's own.

    Raises:
        PipelineError: The file is missing, unreadable or not such a table.
    """
    frame = _read_columns(path, _COLUMNS).to_pandas()
    place_of_row, unique_ids = pd.factorize(frame["sample_id"].astype(str))
    ids = np.asarray(unique_ids, object)
    times = frame["time"].to_numpy("datetime64[ns]")
    rows = _rows_by_time(path, place_of_row, ids, times)
    outlines = shapely.from_wkb(frame["geometry"].to_numpy()[rows[:, 0]])
    zones = frame["tile_crs"].to_numpy(np.int64)[rows]
    epsgs = np.array([_zone_of(*pair) for pair in zip(outlines, zones, strict=True)])
    lon, lat = _centres(outlines)
    check_location_ids(path, ids)
    check_coordinates(path, lon, lat)
    check_zones(path, epsgs, lon)
    dates = _ascending_dates(path, times[rows], ids)
    return [
        GivenPlace(
            row=row,
            location_id=str(ids[row]),
            lon=float(lon[row]),
            lat=float(lat[row]),
            epsg=int(epsgs[row]),
            origin=None,
            split=None,
            dates=date,
        )
        for row, date in enumerate(dates)
    ]


def count_ssl4eo(path: Path) -> int:
    """Number of places in an SSL4EO-S12 v1.1 metadata table.

    Raises:
        PipelineError: The file is missing, unreadable or not such a table.
    """
    return len(_read_columns(path, ["sample_id"])["sample_id"].unique())


def _read_columns(path: Path, columns: list[str]) -> pa.Table:
    check_exists(path)
    try:
        names = pq.read_schema(path).names
        missing = [name for name in _COLUMNS if name not in names]
        if missing:
            raise PipelineError(
                f"{path} is not an SSL4EO-S12 v1.1 metadata table: it lacks {', '.join(missing)}; "
                f"found: {', '.join(names)}"
            )
        return pq.read_table(path, columns=columns)
    except pa.ArrowException as error:
        raise PipelineError(f"{path} cannot be read as Parquet: {error}") from None


def _rows_by_time(
    path: Path,
    place_of_row: NDArray[np.int64],
    ids: NDArray[np.object_],
    times: NDArray[np.datetime64],
) -> NDArray[np.int64]:
    """Row numbers of each place in order of time, (place, season)."""
    counts = np.bincount(place_of_row)
    odd = counts != SEASONS
    if odd.any():
        place = int(np.flatnonzero(odd)[0])
        raise PipelineError(
            f"{path}: place {ids[place]} has {counts[place]} acquisitions, expected {SEASONS}"
        )
    return np.lexsort((times, place_of_row)).reshape(-1, SEASONS)


def _zone_of(outline: BaseGeometry, zones: NDArray[np.int64]) -> int:
    candidates = sorted({int(zone) for zone in zones})
    return (
        candidates[0]
        if len(candidates) == 1
        else min(candidates, key=lambda epsg: _tilt(outline, epsg))
    )


def _tilt(outline: BaseGeometry, epsg: int) -> float:
    """How much larger than the outline its bounding box is in a zone; 0 if it stands upright."""
    to_zone = crs_transformer(4326, epsg)
    patch = shapely.transform(outline, lambda xy: np.column_stack(to_zone.transform(*xy.T)))
    return float(patch.envelope.area / patch.area - 1.0)


def _centres(outlines: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bounds = shapely.bounds(outlines)
    across = bounds[:, 2] - bounds[:, 0] > 180.0
    whole = outlines.copy()
    whole[across] = shapely.transform(
        outlines[across], lambda xy: np.column_stack([xy[:, 0] % 360.0, xy[:, 1]])
    )
    centres = shapely.centroid(whole)
    return (shapely.get_x(centres) + 180.0) % 360.0 - 180.0, shapely.get_y(centres)


def _ascending_dates(
    path: Path, times: NDArray[np.datetime64], ids: NDArray[np.object_]
) -> list[Dates]:
    days = times.astype("datetime64[D]")
    repeated = np.any(days[:, 1:] <= days[:, :-1], axis=1)
    if repeated.any():
        raise bad_rows(path, "two acquisitions of a place are of one day", repeated, ids)
    return [(first, second, third, fourth) for first, second, third, fourth in days.tolist()]
