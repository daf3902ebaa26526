"""SSL4EO-S12 v1.0: a GeoTIFF per band, ``<modality>/<id>/<scene>/<band>.tif``, native resolution.

The bands of a scene are stacked by array, pixel on pixel, and never warped: the recorded corners of
the 20 m bands lie 4.9 m and those of the 60 m bands 24.4 m up-left of those of the 10 m bands, half
the difference of their pixel sizes, which is the slip of an export that mixed pixel centres with
corners, not a displacement of the pixels. All corners are recorded in the store as they are.

Source: https://github.com/zhu-xlab/SSL4EO-S12, ``ssl4eo_s12_downloader.py``.
"""

import re
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.backscatter import require_decibels, to_hundredths
from pipeline.importers.members import DamagedMember
from pipeline.importers.offset import OFFSET, UNKNOWN, detect_offset, remove_offset
from pipeline.importers.rasters import Raster, decode_geotiff
from pipeline.importers.reflectance import digital_numbers
from pipeline.importers.scenes import (
    in_order_of_time,
    is_sentinel1,
    is_sentinel2,
    sensing_time,
)
from pipeline.importers.units import Decoded, Files, Key
from pipeline.sensors import bands_of
from pipeline.settings.dataset import SEASONS
from pipeline.store.layout import PIXEL_ARRAYS

PATCH_PIXELS = 264
"""Rows and columns at 10 m; 132 at 20 m and 44 at 60 m."""

_LOCATION = re.compile(r"(?:ssl4eo_)?(\d{7})")
_LEVEL_2A = {"s2a", "s2_l2a", "s2l2a"}
_S2_ARRAYS = ("s2_10m", "s2_20m", "s2_60m")
_S2_BANDS = {band.name for name in _S2_ARRAYS for band in bands_of(name)}
_S1_BANDS = {band.name for band in bands_of("s1")}
_COARSE = {"s2_10m": "", "s2_20m": "_20m", "s2_60m": "_60m"}

_LARGEST_BAND_BYTES = PATCH_PIXELS**2 * np.dtype(np.float64).itemsize

Seasons = dict[str, dict[str, Raster]]
"""Rasters by scene and band."""


def locate_band(name: PurePosixPath) -> Key | str:
    """What a file of the release is of, from its path."""
    if name.suffix != ".tif" or len(name.parts) < 3:
        return "not a band"
    *above, scene, file = name.parts
    if any(folder.lower() in _LEVEL_2A for folder in above):
        return "Level-2A, which the store does not hold"
    ids = [match[1] for folder in above if (match := _LOCATION.fullmatch(folder))]
    if not ids:
        return "no location id in the path"
    band = file.removesuffix(".tif")
    if is_sentinel2(scene) and band in _S2_BANDS:
        return Key("", ids[-1], "s2")
    if is_sentinel1(scene) and band in _S1_BANDS:
        return Key("", ids[-1], "s1")
    return "not a band"


def decode_location(key: Key, files: Files, harmonise: bool) -> Decoded:
    """Turn the files of one location and sensor into arrays of four seasons, in order of time.

    Seasons that the source lacks stay without data.

    Args:
        key: Which sensor.
        files: Its bands.
        harmonise: Remove the radiometric offset where there is one.

    Raises:
        DamagedMember: A band is missing or damaged, or there are more than four scenes.
    """
    seasons: Seasons = {}
    for name, content in files.items():
        try:
            raster = decode_geotiff(content, _LARGEST_BAND_BYTES)
        except DamagedMember as error:
            raise DamagedMember(f"{name.parent.name}/{name.name}: {error}") from None
        seasons.setdefault(name.parent.name, {})[name.stem] = raster
    if len(seasons) > SEASONS:
        raise DamagedMember(f"{len(seasons)} scenes, a sample has {SEASONS}")
    ordered = in_order_of_time(list(seasons))
    rasters = {scene: seasons[scene] for scene in ordered}
    return _sentinel2(rasters, harmonise) if key.part == "s2" else _sentinel1(rasters)


def _sentinel2(seasons: Seasons, harmonise: bool) -> Decoded:
    arrays = {name: _empty(name) for name in _S2_ARRAYS}
    offsets = [UNKNOWN] * SEASONS
    for season, (scene, rasters) in enumerate(seasons.items()):
        stacks = {name: _stack(name, scene, rasters) for name in _S2_ARRAYS}
        bands = {
            band.name: stacks[name][band.position] for name in _S2_ARRAYS for band in bands_of(name)
        }
        offsets[season] = detect_offset(bands, scene)
        for name, stack in stacks.items():
            remove = harmonise and offsets[season] == OFFSET
            arrays[name][season] = remove_offset(stack) if remove else stack
    facts = _scene_facts(seasons) | {"offsets": offsets}
    first = next(iter(seasons.values()))
    for name, suffix in _COARSE.items():
        place = first[bands_of(name)[0].name].place
        facts |= {f"left{suffix}": place.left, f"top{suffix}": place.top}
    place = first["B2"].place
    lon, lat = place.centre((PATCH_PIXELS, PATCH_PIXELS))
    facts |= {"epsg": place.epsg, "x_step": place.x_step, "y_step": place.y_step}
    return Decoded(arrays, facts | {"centre": [lon, lat]})


def _sentinel1(seasons: Seasons) -> Decoded:
    array = _empty("s1")
    for season, (scene, rasters) in enumerate(seasons.items()):
        array[season] = to_hundredths(_stack("s1", scene, rasters))
    place = next(iter(seasons.values()))["VV"].place
    facts = {
        "s1_left": place.left,
        "s1_top": place.top,
        "s1_x_step": place.x_step,
        "s1_y_step": place.y_step,
    }
    return Decoded({"s1": array}, _scene_facts(seasons) | facts)


def _stack(array: str, scene: str, rasters: dict[str, Raster]) -> NDArray[Any]:
    """The bands of one array of one scene, one upon the other."""
    missing = [band.name for band in bands_of(array) if band.name not in rasters]
    if missing:
        raise DamagedMember(f"{scene} lacks {', '.join(missing)}")
    layers = [rasters[band.name].values for band in bands_of(array)]
    _, *shape = _empty(array).shape
    for band, layer in zip(bands_of(array), layers, strict=True):
        if layer.shape != (1, *shape[1:]):
            raise DamagedMember(f"{scene}/{band.name}: {layer.shape} pixels, expected {shape[1:]}")
    stack = np.concatenate(layers)
    try:
        if array != "s1":
            return digital_numbers(stack)
        require_decibels(stack)
    except DamagedMember as error:
        raise DamagedMember(f"{scene}: {error}") from None
    return stack


def _scene_facts(seasons: Seasons) -> dict[str, Any]:
    scenes = list(seasons)
    facts: dict[str, Any] = {
        "scenes": scenes + [""] * (SEASONS - len(scenes)),
        "times": [sensing_time(scene) for scene in scenes] + [0] * (SEASONS - len(scenes)),
    }
    places = {(band, raster.place) for bands in seasons.values() for band, raster in bands.items()}
    moved = len(places) > len({band for band, _ in places})
    return facts | ({"notes": ["its scenes are recorded on different grids"]} if moved else {})


def _empty(array: str) -> NDArray[Any]:
    """Four seasons of an array without data."""
    form = next(known for known in PIXEL_ARRAYS if known.name == array)
    return np.full((SEASONS, *form.season_shape(PATCH_PIXELS)), form.nodata, form.dtype)
