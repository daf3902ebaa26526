"""Fetches the pixels of one (location, season): one request, sixteen bands, one grid.

All bands come at 10 m by nearest neighbour. On the snapped grid a 20 m or 60 m pixel of the scene
covers whole blocks of 2 x 2 or 6 x 6 pixels of the answer, so taking one value of each block gives
the native values back, unchanged.
"""

import io
import logging
import re
from functools import partial
from typing import Any

import ee
import numpy as np
from numpy.typing import NDArray

from pipeline.earthengine.budget import PIXELS
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import PASSING, TooBig, Transient
from pipeline.earthengine.queries import DW_COLLECTION, S1_COLLECTION, S2_COLLECTION
from pipeline.grid import PatchGrid, is_snapped, mgrs_epsg
from pipeline.ledger import SeasonRecord
from pipeline.season_pixels import LABEL_NODATA, S1_NODATA, S2_NODATA, SeasonPixels
from pipeline.sensors import bands_of, cube_bands

_S2_BANDS = tuple(band.name for band in cube_bands("sentinel-2"))
_S1_BANDS = tuple(band.name for band in cube_bands("sentinel-1"))
_LABEL = "label"
_COARSE = {"s2_20m": 2, "s2_60m": 6}
"""Arrays of the store that hold coarse bands, and their pixels' size in pixels of 10 m."""

_BANDS = (*_S2_BANDS, *_S1_BANDS, _LABEL)

S1_MASKED_DB = -9999.0
"""Stands for masked backscatter on the way: an int16 would not hold it in hundredths."""

_S1_UNITS_PER_DB = 100
_INDEX = re.compile(r"[A-Za-z0-9_.-]+")
_LARGEST_HEADER_BYTES = 10_000
"""Of an NPY answer; numpy's own limit when it reads files it does not trust."""

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""By version of the format; the service does not say which one it writes."""

_log = logging.getLogger(__name__)


def fetch_season(client: Client, record: SeasonRecord, grid: PatchGrid) -> SeasonPixels:
    """Fetch one season of one place, in one request; in one per sensor where that is too much.

    Args:
        client: A session on the high-volume endpoint.
        record: Says which scenes.
        grid: 10 m pixels; rows and columns multiples of 6.

    Raises:
        Missing: The archive no longer has one of the scenes.
        EarthEngineFault: It could not be fetched now; see the class.
        ValueError: The record names no scenes, or something that is not the name of a scene.
    """
    nested = is_snapped(grid) and mgrs_epsg(record.mgrs_tile) == grid.epsg
    s2, s1, label = _images(record)
    try:
        bands = _fetch_bands(client, s2.addBands(s1).addBands(label), _BANDS, grid, nested)
    except TooBig:
        bands = {
            **_fetch_bands(client, s2, _S2_BANDS, grid, nested),
            **_fetch_bands(client, s1, _S1_BANDS, grid, nested),
            **_fetch_bands(client, label, (_LABEL,), grid, nested),
        }
    return SeasonPixels(
        s2_10m=_native(bands, "s2_10m", 1),
        s2_20m=_native(bands, "s2_20m", _COARSE["s2_20m"]),
        s2_60m=_native(bands, "s2_60m", _COARSE["s2_60m"]),
        s1=np.stack([to_hundredths(bands[name]) for name in _S1_BANDS]),
        label=bands[_LABEL].astype(np.uint8),
    )


def fetch_label(client: Client, dw_id: str, grid: PatchGrid) -> NDArray[np.uint8]:
    """Fetch the Dynamic World label of one scene alone: (H, W), 0 to 8, 255 = no label.

    Raises:
        Missing: The scene has no Dynamic World label.
        EarthEngineFault: It could not be fetched now; see the class.
        ValueError: ``dw_id`` is not the name of a scene.
    """
    image = scene_image(DW_COLLECTION, dw_id).select([_LABEL]).unmask(LABEL_NODATA, False).toUint8()
    bands = _fetch_bands(client, image, (_LABEL,), grid, nested=False)
    return bands[_LABEL].astype(np.uint8)


def request_grid(grid: PatchGrid) -> dict[str, Any]:
    """The grid as Earth Engine's REST `PixelGrid`.

    Source: https://developers.google.com/earth-engine/reference/rest/v1/PixelGrid.
    """
    transform = grid.transform
    return {
        "dimensions": {"width": grid.width, "height": grid.height},
        "crsCode": grid.crs,
        "affineTransform": {
            "scaleX": transform.a,
            "shearX": transform.b,
            "translateX": transform.c,
            "shearY": transform.d,
            "scaleY": transform.e,
            "translateY": transform.f,
        },
    }


def _images(record: SeasonRecord) -> tuple[ee.Image, ee.Image, ee.Image]:
    """Sentinel-2, Sentinel-1 and label, nowhere masked: masked pixels would come as 0, a class.

    ``unmask(..., False)`` because by default it leaves what is outside the footprint masked.
    """
    s2 = scene_image(S2_COLLECTION, record.s2_id).select(list(_S2_BANDS))
    s1 = scene_image(S1_COLLECTION, record.s1_id).select(list(_S1_BANDS))
    label = scene_image(DW_COLLECTION, record.dw_id).select([_LABEL])
    return (
        s2.unmask(S2_NODATA, False).toUint16(),
        s1.unmask(S1_MASKED_DB, False).toFloat(),
        label.unmask(LABEL_NODATA, False).toUint8(),
    )


def scene_image(collection: str, index: str) -> ee.Image:
    """The image of that index.

    Raises:
        ValueError: The index is not the name of a scene.
    """
    if not _INDEX.fullmatch(index):
        raise ValueError(f"{index!r} is not the index of a scene of {collection}")
    return ee.Image(f"{collection}/{index}")


def _fetch_bands(
    client: Client, image: ee.Image, names: tuple[str, ...], grid: PatchGrid, nested: bool
) -> dict[str, NDArray[Any]]:
    """(H, W) at 10 m of every band of an image, checked.

    Args:
        client: A session on the high-volume endpoint.
        image: What to compute.
        names: Its bands.
        grid: 10 m pixels.
        nested: Every block of a 20 m or 60 m band should be constant. An answer where one is not
            is asked for again; the same answer twice is no garbage, but a scene off the lattice,
            such as one that was resampled before it was mounted.
    """
    request = {"expression": image, "fileFormat": "NPY", "grid": request_grid(grid)}
    doubted: list[Any] = []

    def check(answer: Any) -> dict[str, NDArray[Any]]:
        pixels = read_npy(answer, grid.shape, names)
        bands = {name: pixels[name] for name in names}
        varying = _varying_band(bands) if nested else None
        if varying and answer not in doubted:
            doubted.append(answer)
            raise Transient(f"garbled pixels: {varying} varies within its own pixels")
        if varying:
            _log.warning("%s varies within its own pixels; taking the nearest values", varying)
        return bands

    divisible = names == _BANDS
    repeat = PASSING if divisible else (*PASSING, TooBig)
    return client.call(partial(ee.data.computePixels, request), check, PIXELS, repeat)


def read_npy(answer: Any, shape: tuple[int, int], names: tuple[str, ...]) -> NDArray[Any]:
    """The structured array of an NPY answer, without ever unpickling.

    Raises:
        Transient: It is no NPY file, is cut short, or has another shape or other bands.
    """
    try:
        stream = io.BytesIO(answer)
        version = np.lib.format.read_magic(stream)
        read_header = _HEADER_READERS[version]
        found, _, dtype = read_header(stream, _LARGEST_HEADER_BYTES)
    except (KeyError, ValueError, TypeError, SyntaxError) as error:
        raise Transient(f"garbled pixels: {error!r:.200}") from error
    if found != shape or dtype.names != names or dtype.hasobject:
        raise Transient(f"garbled pixels: {found} of {dtype.names}, asked for {shape} of {names}")
    body = stream.read()
    if len(body) != shape[0] * shape[1] * dtype.itemsize:
        raise Transient(f"garbled pixels: {len(body)} bytes for {shape} pixels of {dtype.itemsize}")
    return np.frombuffer(body, dtype).reshape(shape)


def _varying_band(bands: dict[str, NDArray[Any]]) -> str | None:
    """The first coarse band that is not constant in every block, as the grid promises; or None."""
    for array, factor in _COARSE.items():
        for band in bands_of(array):
            if band.name in bands and not _blocks_equal(bands[band.name], factor):
                return band.name
    return None


def _blocks_equal(layer: NDArray[Any], factor: int) -> bool:
    height, width = layer.shape
    blocks = layer.reshape(height // factor, factor, width // factor, factor)
    return bool((blocks == blocks[:, :1, :, :1]).all())


def _native(bands: dict[str, NDArray[Any]], array: str, factor: int) -> NDArray[np.uint16]:
    """(bands, H / factor, W / factor) of the bands that an array of the store holds.

    Where scene and grid share zone and lattice, this is the value of the whole block. Across zones
    it is the value at 10 m nearest to the centre of the coarse pixel (of the equally near ones, the
    lower right).
    """
    middle = slice(factor // 2, None, factor)
    layers = [bands[band.name][middle, middle] for band in bands_of(array)]
    return np.stack(layers).astype(np.uint16)


def to_hundredths(decibels: NDArray[Any]) -> NDArray[np.int16]:
    """Backscatter in dB as int16 hundredths; masked and non-finite becomes -32768."""
    known = np.isfinite(decibels) & (decibels != S1_MASKED_DB)
    scaled = np.rint(np.where(known, decibels, 0.0) * _S1_UNITS_PER_DB)
    limited = np.clip(scaled, S1_NODATA + 1, np.iinfo(np.int16).max).astype(np.int16)
    return np.where(known, limited, np.int16(S1_NODATA))
