"""Expert tiles as they were published: one GeoTIFF of class codes each.

Codes of the files: 0 unmarked, 1 to 9 the classes in Dynamic World's order, 10 cloud. Where a file
has several bands the second holds them, as the authors read it.
Source: Tarrio et al. 2021, doi:10.1594/PANGAEA.933475; zhu-xlab/CromSS,
data_prepare/data_check_SSL4EO/construct_dw_osm_lmdb/read_dw_data_to_lmdb.py.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Split = Literal["train", "test"]

UNMARKED_CODE = 0
CLOUD_CODE = 10

_RESOLUTION_M = 10.0


@dataclass(frozen=True)
class ExpertTile:
    """One tile that can be used.

    Attributes:
        sample: Its index in its split and in its group of the store.
        tile_id: E.g. ``dw_-7.5_43.2-20190606``; unique over both splits.
        split: As published.
        date: Day of the scene that the experts looked at.
        grid: Its pixels.
        path: The file.
        sha256: Of the file, hexadecimal.
    """

    sample: int
    tile_id: str
    split: Split
    date: dt.date
    grid: PatchGrid
    path: Path
    sha256: str


class UnusableTile(Exception):
    """A file is not an expert tile that can be used; the message says why."""


def read_tile_grid(path: Path, pixels: int) -> PatchGrid:
    """The grid of a tile's file, whatever its origin.

    Raises:
        UnusableTile: Not a raster, not in a UTM zone, not north-up at 10 m, not so many pixels,
            or codes that are no whole numbers.
    """
    import rasterio  # late: Snakemake reads this module at every start
    from rasterio.errors import CRSError, RasterioError

    try:
        with rasterio.open(path) as file:
            epsg = file.crs.to_epsg() if file.crs else None
            transform, shape = file.transform, file.shape
            dtype = file.dtypes[_code_band(file) - 1]
    except (RasterioError, CRSError, OSError) as error:
        raise UnusableTile(f"cannot be read ({error})") from None
    if not np.issubdtype(np.dtype(dtype), np.integer):
        raise UnusableTile(f"holds values of {dtype}, not whole numbers")
    if epsg is None or not (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760):
        raise UnusableTile(f"is in {f'EPSG:{epsg}' if epsg else 'no CRS'}, not in a UTM zone")
    steps = (transform.a, transform.b, transform.d, transform.e)
    if not np.allclose(steps, (_RESOLUTION_M, 0.0, 0.0, -_RESOLUTION_M), atol=1e-6):
        raise UnusableTile(f"has pixels of {transform.a} x {-transform.e} m, not of 10 m north-up")
    if shape != (pixels, pixels):
        raise UnusableTile(f"has {shape[0]} x {shape[1]} pixels, not {pixels} x {pixels}")
    return PatchGrid(epsg, transform.c, transform.f, pixels, pixels, _RESOLUTION_M)


def read_codes(path: Path) -> NDArray[np.uint8]:
    """The codes of a tile's file, (y, x) uint8.

    Raises:
        UnusableTile: The file is cut short, or holds something that is no code.
    """
    import rasterio  # late: Snakemake reads this module at every start
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as file:
            codes = file.read(_code_band(file))
    except (RasterioError, OSError) as error:
        raise UnusableTile(f"cannot be read ({error})") from None
    foreign = codes[(codes < UNMARKED_CODE) | (codes > CLOUD_CODE)]
    if foreign.size:
        raise UnusableTile(f"holds the code {foreign[0]}; codes are 0 to 10")
    narrow: NDArray[np.uint8] = codes.astype(np.uint8)
    return narrow


def _code_band(file: "DatasetReader") -> int:
    """Number, from 1, of the band that holds the codes."""
    return 1 if file.count == 1 else 2


def label_from_codes(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Ids of the legend ``dynamic_world`` from 0, 255 where unmarked or cloud.

    Args:
        codes: (y, x) uint8, 0 to 10.
    """
    table = np.full(256, UNLABELLED, np.uint8)
    for row in load_legend("dynamic_world"):
        table[row.released_id] = row.id
    return table[codes]


def codes_from_label(label: NDArray[np.uint8], cloud: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The inverse of `label_from_codes`: codes as published.

    Args:
        label: (y, x) uint8, ids from 0, 255 = unmarked.
        cloud: (y, x), where the experts marked cloud.
    """
    table = np.full(256, UNMARKED_CODE, np.uint8)
    for row in load_legend("dynamic_world"):
        table[row.id] = row.released_id
    return np.where(cloud, np.uint8(CLOUD_CODE), table[label])
