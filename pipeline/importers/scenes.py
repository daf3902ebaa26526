"""What the names of Sentinel scenes say: when they were sensed, and of which tile."""

import datetime as dt
import re

_SENTINEL2 = re.compile(r"(\d{8}T\d{6})_\d{8}T\d{6}_T(\d{2}[A-Z]{3})")
"""Earth Engine's ``system:index``: sensing start, generation or datastrip time, tile.

Source: https://developers.google.com/earth-engine/datasets/catalog/COPERNICUS_S2_HARMONIZED."""

_SENTINEL2_PRODUCT = re.compile(r"S2[A-D]_MSIL1C_(\d{8}T\d{6})_N\d{4}_R\d{3}_T(\d{2}[A-Z]{3})_\S+")
"""The agency's name of a product, which holds the processing baseline."""

_SENTINEL1 = re.compile(r"S1[A-D]_IW_GRDH_1S[SD][VH]_(\d{8}T\d{6})_\d{8}T\d{6}_\d{6}_\w{6}_\w{4}")

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def sensing_time(scene: str) -> int:
    """Sensing start in UTC milliseconds since 1970; 0 for a name that is of neither sensor."""
    for pattern in (_SENTINEL2, _SENTINEL2_PRODUCT, _SENTINEL1):
        if match := pattern.fullmatch(scene):
            return _milliseconds(match[1])
    return 0


def is_sentinel1(scene: str) -> bool:
    """Whether a name is that of a Sentinel-1 GRD scene."""
    return _SENTINEL1.fullmatch(scene) is not None


def is_sentinel2(scene: str) -> bool:
    """Whether a name is that of a Sentinel-2 scene."""
    return any(pattern.fullmatch(scene) for pattern in (_SENTINEL2, _SENTINEL2_PRODUCT))


def mgrs_tile(scene: str) -> str:
    """Tile of a Sentinel-2 scene, e.g. ``43RCP``; empty for other names."""
    match = _SENTINEL2.fullmatch(scene) or _SENTINEL2_PRODUCT.fullmatch(scene)
    return match[2] if match else ""


def in_order_of_time(scenes: list[str]) -> list[str]:
    """The scenes as they were sensed; names of Sentinel-1 sort by satellite first, not by time."""
    return sorted(scenes, key=lambda scene: (sensing_time(scene), scene))


def _milliseconds(stamp: str) -> int:
    try:
        time = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
    except ValueError:
        return 0
    return (time - _EPOCH) // dt.timedelta(milliseconds=1)
