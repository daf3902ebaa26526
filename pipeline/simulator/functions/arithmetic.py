"""``ee.Image``: pixel-wise arithmetic, comparisons and casts."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.graph import implements
from pipeline.simulator.image import Image
from pipeline.simulator.projection import PixelGrid
from pipeline.simulator.raster import Band, Pixels, cast
from pipeline.simulator.refusal import EarthEngineError

Array = NDArray[Any]

_CASTS = {
    "Uint8": "uint8",
    "Byte": "uint8",
    "Int8": "int8",
    "Uint16": "uint16",
    "Int16": "int16",
    "Uint32": "uint32",
    "Int32": "int32",
    "Float": "float32",
    "Double": "float64",
}
_TYPE_NAMES = {name.lower(): dtype for name, dtype in _CASTS.items()}


def _implement_cast(name: str, dtype: str) -> None:
    @implements(f"Image.to{name}")
    def to_type(value: Image) -> Image:
        return value.mapped(lambda band: band.cast(dtype))


for _name, _dtype in _CASTS.items():
    _implement_cast(_name, _dtype)


@implements("Image.cast")
def _cast(image: Image, bandTypes: dict[str, Any], bandOrder: list[str] | None) -> Image:
    for name in bandTypes.values():
        if name not in _TYPE_NAMES:
            raise EarthEngineError(f"Image.cast: Unknown type '{name}'.")
    casts = {band: _TYPE_NAMES[name] for band, name in bandTypes.items()}
    changed = image.mapped(lambda band: band.cast(casts[band.name]) if band.name in casts else band)
    return changed if bandOrder is None else image.with_bands(map(changed.band, bandOrder))


@implements("Image.round")
def _round(value: Image) -> Image:
    """The nearest whole number, halves upwards; the type stays."""
    return value.mapped(lambda band: band if band.dtype.kind in "iu" else band.mapped(_half_up))


def _half_up(pixels: Pixels) -> Pixels:
    values, valid = pixels
    return np.floor(values + 0.5).astype(values.dtype), valid


@implements("Image.clamp")
def _clamp(input: Image, low: float, high: float) -> Image:
    return input.mapped(
        lambda band: band.mapped(
            lambda pixels: (cast(np.clip(pixels[0], low, high), band.dtype), pixels[1])
        )
    )


def _implement_binary(
    name: str, compute: Callable[[Array, Array], Array], dtype: str | None
) -> None:
    @implements(f"Image.{name}")
    def binary(image1: Image, image2: Image) -> Image:
        return _combined(image1, image2, compute, dtype, f"Image.{name}")


def _combined(
    left: Image,
    right: Image,
    compute: Callable[[Array, Array], Array],
    dtype: str | None,
    where: str,
) -> Image:
    """Bands combined in pairs; a single band on one side goes with every band of the other."""
    count = max(len(left.bands), len(right.bands))
    first = left.bands * count if len(left.bands) == 1 else left.bands
    second = right.bands * count if len(right.bands) == 1 else right.bands
    if len(first) != len(second):
        raise EarthEngineError(
            f"{where}: Cannot combine {len(left.bands)} bands with {len(right.bands)}."
        )
    return left.with_bands(
        _combined_band(a, b, compute, dtype) for a, b in zip(first, second, strict=True)
    )


def _combined_band(
    left: Band, right: Band, compute: Callable[[Array, Array], Array], dtype: str | None
) -> Band:
    target = np.dtype(dtype) if dtype else _common_type(left.dtype, right.dtype)

    def evaluate(grid: PixelGrid) -> Pixels:
        (a, a_valid), (b, b_valid) = left.evaluate(grid), right.evaluate(grid)
        return cast(compute(a, b), target), a_valid & b_valid

    return Band(left.name, target, left.projection or right.projection, evaluate)


def _common_type(left: np.dtype[Any], right: np.dtype[Any]) -> np.dtype[Any]:
    both_whole = left.kind in "iu" and right.kind in "iu"
    return np.result_type(left, right, np.int32 if both_whole else np.float32)


def _in_double(compute: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda a, b: compute(a.astype(np.float64), b.astype(np.float64))


def _bitwise_and(a: Array, b: Array) -> Array:
    return np.bitwise_and(cast(a, np.int64), cast(b, np.int64))


def _divide(a: Array, b: Array) -> Array:
    """The quotient; 0 where the divisor is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


for _name, _compute, _result in (
    ("add", np.add, None),
    ("subtract", np.subtract, None),
    ("multiply", np.multiply, None),
    ("divide", _divide, "float64"),
    ("eq", np.equal, "uint8"),
    ("neq", np.not_equal, "uint8"),
    ("lt", np.less, "uint8"),
    ("lte", np.less_equal, "uint8"),
    ("gt", np.greater, "uint8"),
    ("gte", np.greater_equal, "uint8"),
):
    _implement_binary(_name, _in_double(_compute), _result)
_implement_binary("bitwiseAnd", _bitwise_and, "int64")
