"""Places given by the user: a CSV or GeoParquet table of points, checked row by row."""

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyarrow import ArrowException

from pipeline.errors import PipelineError
from pipeline.locations.land import is_land
from pipeline.locations.row_checks import (
    bad_rows,
    check_coordinates,
    check_exists,
    check_location_ids,
    check_zones,
)
from pipeline.locations.seasons import Dates

LOG = logging.getLogger(__name__)

SPLITS = "train", "validation"

_PARQUET = {".parquet", ".geoparquet", ".pq"}
_ORIGIN = ("left", "top")
_OPTIONAL = ("location_id", "epsg", *_ORIGIN, "split")
_DATES = ("date_0", "date_1", "date_2", "date_3")


@dataclass(frozen=True, slots=True)
class GivenPlace:
    """One row of a table of places.

    Attributes:
        row: Row number from 0, which becomes the sample's number.
        location_id: Its id in the table; None where the table has none.
        lon: Degrees east.
        lat: Degrees north.
        epsg: The UTM zone to use; None for the one the place lies in.
        origin: Easting and northing of the patch's upper-left corner in that zone, metres: the
            patch lies on the grid of a file that was there before it. None to snap one around the
            place.
        split: ``train`` or ``validation``; None to draw it.
        dates: Centres of the four search windows; None to derive them from the settings.
    """

    row: int
    location_id: str | None
    lon: float
    lat: float
    epsg: int | None
    origin: tuple[float, float] | None
    split: str | None
    dates: Dates | None


def read_points(path: Path) -> list[GivenPlace]:
    """Read a table of points with the columns lon and lat, in degrees.

    Optional columns: location_id, epsg, split, and date_0 to date_3 together; and left and top
    together with epsg, which fix the upper-left corner of a patch as it is, off the lattice that
    other patches are snapped to. A GeoParquet file may give the points as its geometry instead, in
    any CRS.

    Raises:
        PipelineError: The file is missing or unreadable, lacks a column, or has rows that cannot
            be used; the message names the column, the rows (1 is the first below the header) and
            a value.
    """
    frame = _read_table(path)
    lon, lat = (_numbers(path, frame, name) for name in ("lon", "lat"))
    check_coordinates(path, lon, lat)
    _warn_if_swapped(path, lon, lat)
    ids = _location_ids(path, frame)
    epsgs = _epsgs(path, frame, lon)
    origins = _origins(path, frame)
    splits = _splits(path, frame)
    dates = _dates(path, frame)
    columns = ids, lon.tolist(), lat.tolist(), epsgs, origins, splits, dates
    return [GivenPlace(row, *values) for row, values in enumerate(zip(*columns, strict=True))]


def count_points(path: Path) -> int:
    """Number of rows of a table of points, without checking them.

    Raises:
        PipelineError: The file is missing or unreadable.
    """
    check_exists(path)
    try:
        if path.suffix.lower() in _PARQUET:
            return int(pq.read_metadata(path).num_rows)
        return len(_read_csv(path, usecols=[0]))
    except (ArrowException, ValueError) as error:
        raise _unreadable(path, error) from None


def _read_table(path: Path) -> pd.DataFrame:
    check_exists(path)
    try:
        frame = _read_parquet(path) if path.suffix.lower() in _PARQUET else _read_csv(path)
    except (ArrowException, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise _unreadable(path, error) from None
    missing = [name for name in ("lon", "lat") if name not in frame]
    if missing:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise PipelineError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}; "
            f"found: {found}"
        )
    if frame.empty:
        raise PipelineError(f"{path} has no rows")
    return frame


def _read_csv(path: Path, usecols: list[int] | None = None) -> pd.DataFrame:
    # All as text: 0000173 must stay an id, and a row that is no number must be found by its value.
    return pd.read_csv(
        path,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        encoding="utf-8-sig",
        usecols=usecols,
        index_col=False,
    )


def _read_parquet(path: Path) -> pd.DataFrame:
    names = pq.read_schema(path).names
    wanted = [name for name in ("lon", "lat", *_OPTIONAL, *_DATES) if name in names]
    if "lon" in wanted or "geometry" not in names:
        return pd.read_parquet(path, columns=wanted or None)
    import geopandas  # takes half a second, and only such tables need it

    shapes = geopandas.read_parquet(path, columns=[*wanted, "geometry"])
    points = shapes.geometry if shapes.crs is None else shapes.geometry.to_crs("EPSG:4326")
    return pd.DataFrame(shapes.drop(columns="geometry")).assign(
        lon=shapely.get_x(points.array), lat=shapely.get_y(points.array)
    )


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
    odd = ~np.isfinite(numbers)
    if odd.any():
        raise bad_rows(path, f"{name} is not a number", odd, frame[name].to_numpy())
    return numbers


def _location_ids(path: Path, frame: pd.DataFrame) -> Sequence[str | None]:
    if "location_id" not in frame:
        return [None] * len(frame)
    ids = frame["location_id"].fillna("").astype(str).to_numpy(object)
    check_location_ids(path, ids)
    return list(ids)


def _epsgs(path: Path, frame: pd.DataFrame, lon: NDArray[np.float64]) -> Sequence[int | None]:
    if "epsg" not in frame:
        return [None] * len(frame)
    epsgs = _numbers(path, frame, "epsg").astype(np.int64)
    check_zones(path, epsgs, lon)
    return [int(epsg) for epsg in epsgs]


def _origins(path: Path, frame: pd.DataFrame) -> Sequence[tuple[float, float] | None]:
    present = [name for name in _ORIGIN if name in frame]
    if not present:
        return [None] * len(frame)
    if missing := [name for name in ("epsg", *_ORIGIN) if name not in frame]:
        raise PipelineError(
            f"{path} has {' and '.join(present)}, but not {' and '.join(missing)}; "
            "the corner of a patch takes epsg, left and top together"
        )
    left, top = (_numbers(path, frame, name).tolist() for name in _ORIGIN)
    return list(zip(left, top, strict=True))


def _splits(path: Path, frame: pd.DataFrame) -> Sequence[str | None]:
    if "split" not in frame:
        return [None] * len(frame)
    splits = frame["split"].to_numpy(object)
    odd = ~np.isin(splits.astype(str), SPLITS)
    if odd.any():
        raise bad_rows(path, f"split is neither {SPLITS[0]} nor {SPLITS[1]}", odd, splits)
    return list(splits)


def _dates(path: Path, frame: pd.DataFrame) -> Sequence[Dates | None]:
    present = [name for name in _DATES if name in frame]
    if not present:
        return [None] * len(frame)
    if len(present) < len(_DATES):
        raise PipelineError(f"{path} has {', '.join(present)}; give all of {', '.join(_DATES)}")
    columns = [_date_column(path, frame, name) for name in _DATES]
    unordered = np.array(
        [sorted(set(dates)) != list(dates) for dates in zip(*columns, strict=True)]
    )
    if unordered.any():
        raise bad_rows(path, "date_0 to date_3 do not ascend", unordered, np.array(columns[0]))
    return list(zip(*columns, strict=True))


def _date_column(path: Path, frame: pd.DataFrame, name: str) -> list[dt.date]:
    dates = pd.to_datetime(frame[name], errors="coerce", format="ISO8601")
    odd = dates.isna().to_numpy()
    if odd.any():
        raise bad_rows(path, f"{name} is not a date (YYYY-MM-DD)", odd, frame[name].to_numpy())
    return list(dates.dt.date)


def _warn_if_swapped(path: Path, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> None:
    at_sea = 1.0 - is_land(lon, lat).mean()
    if at_sea <= 0.5 or np.abs(lon).max() > 90.0:
        return
    if is_land(lat, lon).mean() > 0.5:
        LOG.warning(
            "%s: %.0f %% of the points lie in the sea but would lie on land with lon and lat "
            "swapped; check the order of the columns",
            path,
            100.0 * at_sea,
        )


def _unreadable(path: Path, error: Exception) -> PipelineError:
    kind = "Parquet" if path.suffix.lower() in _PARQUET else "CSV"
    return PipelineError(f"{path} cannot be read as {kind}: {error}")
