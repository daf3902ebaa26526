"""One sample of SSL4EO-S12 v1.1, from a zipped Zarr group that holds it alone or among others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj.exceptions import CRSError

from pipeline.grid import crs_transformer
from pipeline.importers.backscatter import require_decibels, to_hundredths
from pipeline.importers.members import DamagedMember, printable
from pipeline.importers.offset import OFFSET
from pipeline.importers.reflectance import digital_numbers, without_offset
from pipeline.importers.scenes import sensing_time
from pipeline.importers.units import Decoded
from pipeline.importers.zarr_v2 import ZippedGroup
from pipeline.season_pixels import S2_NODATA
from pipeline.sensors import cube_bands
from pipeline.settings.dataset import SEASONS

_COARSE = ("_20m", "_60m")
_PIXEL_M = 10.0
_WGS84 = 4326


def decode_cube(
    group: ZippedGroup, position: int | None, part: str, split: str, harmonise: bool
) -> Decoded:
    """The arrays of one sample and modality, its seasons in order of time.

    Args:
        group: Holds it.
        position: In the group, along its first axis; None if the group is this sample.
        part: ``s2`` or ``s1``.
        split: ``train`` or ``validation``.
        harmonise: Remove the radiometric offset where there is one.

    Raises:
        DamagedMember: It is not what it should be.
    """
    at = () if position is None else (position,)
    bands = group.array("bands")
    if bands.shape[len(at) : len(at) + 1] != (SEASONS,) or len(bands.shape) != len(at) + 4:
        raise DamagedMember(f"bands of shape {bands.shape}")
    scenes = [text_of(name) for name in group.array("file_id").read(*at)]
    times = [sensing_time(scene) for scene in scenes]
    if len(scenes) != SEASONS or not all(times):
        raise DamagedMember(f"names that are of no scene: {', '.join(map(printable, scenes))}")
    order = sorted(range(SEASONS), key=lambda season: (times[season], scenes[season]))
    seasons = bands.read(*at)[order][:, _band_order(group, part)]
    place = _place(group, at, seasons.shape[-1])
    facts: dict[str, Any] = {
        "id": text_of(group.array("sample").read(*at).item()),
        "scenes": [scenes[season] for season in order],
        "times": [times[season] for season in order],
        "split": split,
    }
    if part == "s1":
        require_decibels(np.moveaxis(seasons, 1, 0).astype(np.float32))
        backscatter = np.stack([to_hundredths(season.astype(np.float32)) for season in seasons])
        grid = {f"s1_{name}": place[name] for name in ("left", "top", "x_step", "y_step")}
        return Decoded({"s1": backscatter}, facts | grid)
    cubes, offsets = _reflectance(seasons, facts["scenes"], harmonise)
    edges = {f"{side}{suffix}": place[side] for side in ("left", "top") for suffix in _COARSE}
    return Decoded({"s2": cubes}, facts | place | edges | {"offsets": offsets})


def text_of(value: Any) -> str:
    """A text, whether it was stored as characters or as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _reflectance(
    seasons: NDArray[Any], scenes: list[str], harmonise: bool
) -> tuple[NDArray[np.uint16], list[int]]:
    cubes, offsets = [], []
    for season, scene in zip(seasons, scenes, strict=True):
        numbers = digital_numbers(season)
        cube, offset = without_offset(numbers, scene, harmonise)
        if harmonise and offset == OFFSET:
            # To what was 0 for no data, 1000 was added as well.
            cube[:, np.all(numbers == OFFSET, axis=0)] = S2_NODATA
        cubes.append(cube)
        offsets.append(offset)
    return np.stack(cubes), offsets


def _band_order(group: ZippedGroup, part: str) -> list[int]:
    """Positions of our bands in the file, by name: ``B01`` is ``B1``, ``vv`` is ``VV``."""
    names = [text_of(name).upper().replace("B0", "B") for name in group.array("band").read()]
    wanted = [band.name for band in cube_bands("sentinel-2" if part == "s2" else "sentinel-1")]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DamagedMember(f"lacks the bands {', '.join(missing)}")
    return [names.index(name) for name in wanted]


def _place(group: ZippedGroup, at: tuple[int, ...], pixels: int) -> dict[str, Any]:
    """The grid of a sample, from the centres of its pixels."""
    epsg = _epsg(text_of(group.array("crs").read(*at).item()))
    x, y = (_centres(group, axis, at, pixels) for axis in ("x", "y"))
    if x is None or y is None:
        return _place_around_centre(group, at, epsg, pixels)
    x_step, y_step = float(x[1] - x[0]), float(y[1] - y[0])
    if x_step <= 0 or y_step >= 0:
        raise DamagedMember(f"a grid that is not north-up (steps {x_step:g}, {y_step:g})")
    left, top = float(x[0]) - x_step / 2, float(y[0]) - y_step / 2
    return {
        "epsg": epsg,
        "left": left,
        "top": top,
        "x_step": x_step,
        "y_step": y_step,
        "centre": [left + pixels / 2 * x_step, top + pixels / 2 * y_step],
    }


def _epsg(text: str) -> int:
    code = text.upper().removeprefix("EPSG:")
    try:
        crs_transformer(int(code), _WGS84)
    except (ValueError, CRSError):
        raise DamagedMember(f"CRS {printable(text)}") from None
    return int(code)


def _centres(
    group: ZippedGroup, axis: str, at: tuple[int, ...], pixels: int
) -> NDArray[np.float64] | None:
    """Coordinates of the pixels along an axis; None where a file only numbers them.

    Groups of several samples have them per sample, as ``x_``; their ``x`` are numbers.
    """
    if f"{axis}_" in group:
        values = group.array(f"{axis}_").read(*at)
    elif axis in group:
        values = group.array(axis).read()
    else:
        return None
    if values.shape != (pixels,) or pixels < 2:
        raise DamagedMember(f"{values.shape} coordinates along {axis}, expected {pixels}")
    numbered = np.array_equal(values, np.arange(pixels))
    return None if numbered else values.astype(np.float64)


def _place_around_centre(
    group: ZippedGroup, at: tuple[int, ...], epsg: int, pixels: int
) -> dict[str, Any]:
    """The grid of 10 m pixels around the recorded centre, to the metre that it is good for."""
    lon, lat = (float(group.array(f"center_{name}").read(*at).item()) for name in ("lon", "lat"))
    x, y = crs_transformer(_WGS84, epsg).transform(lon, lat)
    if not np.isfinite([x, y]).all():
        raise DamagedMember(f"centre {lon}, {lat} is not in EPSG:{epsg}")
    left, top = round(x - pixels / 2 * _PIXEL_M), round(y + pixels / 2 * _PIXEL_M)
    return {
        "epsg": epsg,
        "left": float(left),
        "top": float(top),
        "x_step": _PIXEL_M,
        "y_step": -_PIXEL_M,
        "centre": [x, y],
    }
