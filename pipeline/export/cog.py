"""Cloud-optimised GeoTIFFs: tiled, with overviews, in the layout that readers fetch in parts.

Format: OGC Cloud Optimized GeoTIFF 1.0 (OGC 21-026), written by GDAL's COG driver,
https://gdal.org/en/stable/drivers/raster/cog.html.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter, MemoryFile

from pipeline.atomic_file import write_atomically
from pipeline.label_classes import LabelClass
from pipeline.sensors import all_bands

BLOCK_PIXELS = 128
"""Edge of a tile of the file; a patch of 264 pixels then has overviews of 132 and 66."""

_NATURAL_COLOUR = {"B4": ColorInterp.red, "B3": ColorInterp.green, "B2": ColorInterp.blue}
_TRANSPARENT = (0, 0, 0, 0)


@dataclass(frozen=True)
class Raster:
    """Content of one file.

    Attributes:
        values: (band, y, x).
        bands: Names of the bands.
        crs: Its CRS, e.g. ``EPSG:32633``.
        transform: Pixel (column, row) of a corner to CRS coordinates.
        nodata: Value of pixels without data.
        scale: Stored values times this are in the unit.
        unit: E.g. "dB".
        tags: Of the file.
        classes: Of a map of classes, for its colour table; else empty.
    """

    values: NDArray[Any]
    bands: Sequence[str]
    crs: str
    transform: Affine
    nodata: float
    scale: float = 1.0
    unit: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    classes: Sequence[LabelClass] = ()


def write_cog(path: Path, raster: Raster) -> None:
    """Write a raster as a cloud-optimised GeoTIFF, whole or not at all.

    Overviews of maps of classes take the most frequent class, others the mean of the pixels that
    have data.

    Args:
        path: Ending in ``.tif``.
        raster: What to write.
    """
    count, height, width = raster.values.shape
    options = {
        "driver": "COG",
        "width": width,
        "height": height,
        "count": count,
        "dtype": raster.values.dtype,
        "crs": CRS.from_user_input(raster.crs),
        "transform": raster.transform,
        "nodata": raster.nodata,
        "compress": "DEFLATE",
        "predictor": "NO" if raster.classes else "YES",
        "blocksize": BLOCK_PIXELS,
        "overview_resampling": "MODE" if raster.classes else "AVERAGE",
    }
    with MemoryFile() as memory:
        with memory.open(**options) as file:
            _fill(file, raster)
        write_atomically(path, memory.read())


def _fill(file: DatasetWriter, raster: Raster) -> None:
    count = len(raster.bands)
    file.write(raster.values)
    file.descriptions = tuple(raster.bands)
    file.scales, file.offsets = (raster.scale,) * count, (0.0,) * count
    file.units = (raster.unit,) * count
    file.update_tags(**raster.tags)
    if raster.classes:
        colours = {land_cover.id: (*land_cover.rgb, 255) for land_cover in raster.classes}
        file.write_colormap(1, colours | {int(raster.nodata): _TRANSPARENT})
        file.update_tags(1, **{f"CLASS_{row.id}": row.name for row in raster.classes})
        return
    _describe_bands(file, raster.bands)


def _describe_bands(file: DatasetWriter, bands: Sequence[str]) -> None:
    """Wavelengths, and natural colour as what a viewer shows first."""
    if set(_NATURAL_COLOUR) <= set(bands):
        # The first band alone would otherwise be taken for grey.
        file.colorinterp = [_NATURAL_COLOUR.get(name, ColorInterp.undefined) for name in bands]
    known = {band.name: band for band in all_bands() if band.sensor == "sentinel-2"}
    for number, name in enumerate(bands, start=1):
        if name in known:
            micrometres = known[name].wavelength_nm / 1000
            file.update_tags(number, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=f"{micrometres:.4f}")


def decoded(values: NDArray[Any], scale: float, nodata: int) -> NDArray[np.float32]:
    """Stored integers in their unit, float32; NaN where there is no data."""
    decoded_values = values.astype(np.float32) * np.float32(scale)
    decoded_values[values == nodata] = np.nan
    return decoded_values
