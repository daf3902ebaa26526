"""``computePixels`` and ``getPixels``: an image on the grid of a request, as bytes."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

from pipeline.simulator.functions.images import select_bands
from pipeline.simulator.image import Image
from pipeline.simulator.projection import PixelGrid, Projection, affine_from, parse_projection
from pipeline.simulator.raster import cast
from pipeline.simulator.refusal import EarthEngineError, not_implemented, wrong_type

MAX_RESPONSE_BYTES = 48 << 20
MAX_DIMENSION = 32_768
MAX_BANDS = 1_024
# Source of the three limits: https://developers.google.com/earth-engine/apidocs/
# ee-data-computepixels and ee-data-getpixels ("48 MB", "32K", "1024 bands").

_MASK_BYTES = 1
"""What the service counts for a pixel's mask, in every band.

Source: https://github.com/google/Xee/pull/210 and
https://github.com/gee-community/qgis-earthengine-plugin/issues/413.
"""

_TRANSFORM_KEYS = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
_GRID_FIELDS = {
    "grid": {"dimensions", "affineTransform", "crsCode", "crsWkt"},
    "dimensions": {"width", "height"},
    "affineTransform": set(_TRANSFORM_KEYS),
}
"""Source: https://developers.google.com/earth-engine/reference/rest/v1/PixelGrid."""


def render(value: Any, request: Mapping[str, Any]) -> tuple[bytes, str]:
    """The pixels of an image in the format of a request; masked pixels are 0.

    Args:
        value: What the request's expression or asset evaluated to.
        request: The JSON body, with ``grid``, ``fileFormat`` and perhaps ``bandIds``.

    Returns:
        The file and its content type.

    Raises:
        EarthEngineError: Not an image, or beyond a limit of the service.
    """
    if not isinstance(value, Image):
        raise wrong_type("Image.computePixels", "Image", value)
    if request.get("visualizationOptions"):
        raise not_implemented("the field 'visualizationOptions'")
    image = select_bands(value, request["bandIds"]) if request.get("bandIds") else value
    grid = _request_grid(request.get("grid") or {}, image)
    _check_size(image, grid)
    encode = _ENCODERS.get(request.get("fileFormat", "AUTO_JPEG_PNG"))
    if encode is None:
        raise not_implemented(f"the file format '{request.get('fileFormat', 'AUTO_JPEG_PNG')}'")
    return encode(_band_arrays(image, grid), grid)


def _request_grid(requested: Mapping[str, Any], image: Image) -> PixelGrid:
    _refuse_unknown(requested, "grid")
    if "crsWkt" in requested:
        raise not_implemented("the field 'crsWkt' of a grid")
    own = image.bands[0].projection if image.bands else None
    crs = requested.get("crsCode") or (own.crs if own else None)
    transform = _request_transform(requested, own)
    size = requested.get("dimensions")
    if crs is None or transform is None or size is None:
        raise not_implemented("a grid without dimensions, or without crsCode and affineTransform")
    _refuse_unknown(size, "dimensions")
    projection = Projection(parse_projection(crs).epsg, transform)
    return PixelGrid(projection, *(_pixels(size.get(side, 0)) for side in ("width", "height")))


def _request_transform(requested: Mapping[str, Any], own: Projection | None) -> Affine | None:
    if "affineTransform" not in requested:
        return own.transform if own else None
    given = requested["affineTransform"]
    _refuse_unknown(given, "affineTransform")
    return affine_from(given.get(key, 0.0) for key in _TRANSFORM_KEYS)


def _refuse_unknown(given: Any, message: str) -> None:
    """Refuse a message of a request that is none, or has fields of another one."""
    known = _GRID_FIELDS[message]
    if not isinstance(given, Mapping):
        raise EarthEngineError(f"Invalid value at '{message}': an object is needed.")
    for name in given.keys() - known:
        raise EarthEngineError(
            f"Invalid JSON payload received. Unknown name \"{name}\" at '{message}': "
            "Cannot find field."
        )


def _pixels(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int | float) or count != int(count):
        raise EarthEngineError(f"Invalid value at 'grid.dimensions' (TYPE_INT32), {count!r}")
    return int(count)


def _check_size(image: Image, grid: PixelGrid) -> None:
    if not image.bands:
        raise EarthEngineError("Image has no bands.")
    if min(grid.width, grid.height) < 1:
        raise EarthEngineError(
            f"Pixel grid dimensions ({grid.width}x{grid.height}) must be positive."
        )
    if max(grid.width, grid.height) > MAX_DIMENSION:
        raise EarthEngineError(
            f"Pixel grid dimensions ({grid.width}x{grid.height}) "
            f"must be less than or equal to {MAX_DIMENSION}."
        )
    if len(image.bands) > MAX_BANDS:
        raise EarthEngineError(
            f"Too many bands ({len(image.bands)}); at most {MAX_BANDS} are allowed."
        )
    total = (
        grid.width * grid.height * sum(band.dtype.itemsize + _MASK_BYTES for band in image.bands)
    )
    if total > MAX_RESPONSE_BYTES:
        raise EarthEngineError(
            f"Total request size ({total} bytes) must be less than or equal to "
            f"{MAX_RESPONSE_BYTES} bytes."
        )


def _band_arrays(image: Image, grid: PixelGrid) -> dict[str, NDArray[Any]]:
    arrays = {}
    for band in image.bands:
        values, valid = band.evaluate(grid)
        values = cast(values, band.dtype)
        arrays[band.name] = values if valid.all() else np.where(valid, values, values.dtype.type(0))
    return arrays


def _npy(arrays: Mapping[str, NDArray[Any]], grid: PixelGrid) -> tuple[bytes, str]:
    """A NumPy file of one structured array (height, width), a field per band."""
    fields = [(name, values.dtype) for name, values in arrays.items()]
    table = np.empty((grid.height, grid.width), fields)
    for name, values in arrays.items():
        table[name] = values
    file = io.BytesIO()
    np.save(file, table, allow_pickle=False)
    return file.getvalue(), "application/octet-stream"


def _geotiff(arrays: Mapping[str, NDArray[Any]], grid: PixelGrid) -> tuple[bytes, str]:
    types = sorted({str(values.dtype) for values in arrays.values()})
    if len(types) > 1:
        raise EarthEngineError(
            "Exported bands must have compatible data types; found inconsistent types: "
            f"{' and '.join(types)}."
        )
    profile = {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": len(arrays),
        "dtype": types[0],
        "crs": grid.projection.crs,
        "transform": grid.projection.transform,
        "compress": "deflate",
    }
    with rasterio.MemoryFile() as file:
        with file.open(**profile) as raster:
            for number, (name, values) in enumerate(arrays.items(), start=1):
                raster.write(values, number)
                raster.set_band_description(number, name)
        return bytes(file.read()), "image/tiff"


_ENCODERS = {"NPY": _npy, "GEO_TIFF": _geotiff}
