"""Small files in the layouts of the published datasets, and what an import leaves behind."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.io import MemoryFile

S2_SCENES = [
    "20200312T105021_20200312T105023_T32UPU",
    "20200610T105031_20200610T105026_T32UPU",
    "20200915T105019_20200915T105022_T32UPU",
    "20201217T105449_20201217T105446_T32UPU",
]
S1_SCENES = [
    "S1B_IW_GRDH_1SDV_20200315T052600_20200315T052625_020700_0273F0_AAAA",
    "S1A_IW_GRDH_1SDV_20200607T052640_20200607T052705_032900_03CF80_BBBB",
    "S1B_IW_GRDH_1SDV_20200911T052603_20200911T052628_023300_02C3F0_CCCC",
    "S1A_IW_GRDH_1SDV_20201216T052644_20201216T052709_035700_042D00_DDDD",
]
_VERSION = re.compile(rb'"code_version": "[^"]*"')
BAND_PIXELS = {
    **dict.fromkeys(["B2", "B3", "B4", "B8"], 264),
    **dict.fromkeys(["B5", "B6", "B7", "B8A", "B11", "B12"], 132),
    **dict.fromkeys(["B1", "B9", "B10"], 44),
}


def geotiff(
    values: np.ndarray,
    epsg: int = 4326,
    corner: tuple[float, float] = (11.0, 48.0),
    step: float = 1e-4,
    down: float = -0.87,
) -> bytes:
    """A GeoTIFF of (band, y, x) values; without a CRS for ``epsg`` 0.

    Rows run ``down`` times ``step``.
    """
    bands, height, width = values.shape
    transform = Affine(step, 0, corner[0], 0, step * down, corner[1])
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=bands,
            height=height,
            width=width,
            dtype=values.dtype,
            crs=rasterio.CRS.from_epsg(epsg) if epsg else None,
            transform=transform,
            compress="deflate",
        ) as file:
            file.write(values)
        return bytes(memory.getbuffer())


def reflectance(band: str, location: int, season: int, pixels: int) -> np.ndarray:
    """Numbers that tell their band, location and season apart; B10 dark, as over clear ground."""
    base = 20 if band == "B10" else 1000 + 100 * list(BAND_PIXELS).index(band)
    values = base + location % 50 + season + np.arange(pixels * pixels).reshape(1, pixels, -1) % 7
    return values.astype(np.uint16)


def location_files(location: int, s2_scenes: Sequence[str] = S2_SCENES) -> dict[str, bytes]:
    """All files of one location of SSL4EO-S12 v1.0, by path."""
    files = {}
    for season, scene in enumerate(s2_scenes):
        for band, pixels in BAND_PIXELS.items():
            content = geotiff(reflectance(band, location, season, pixels))
            files[f"s2c/{location:07d}/{scene}/{band}.tif"] = content
    for season, scene in enumerate(S1_SCENES):
        for band, level in (("VV", -10.0), ("VH", -17.0)):
            values = np.full((1, 264, 264), level - season - location / 100, np.float32)
            files[f"s1/{location:07d}/{scene}/{band}.tif"] = geotiff(values)
    return files


def tree_digest(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by path, but for the version of the code that wrote it."""
    return {
        path.relative_to(folder).as_posix(): _VERSION.sub(b"", path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
