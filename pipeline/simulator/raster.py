"""Bands that can be evaluated on any pixel grid: resampling, reprojection, masks and casts.

Earth Engine computes lazily, from the grid of the request back to the pixels of the scenes. A
`Band` is one step of that: a function from a grid to values and validity. Values are always
computed at the grid that was asked for; image pyramids (coarser copies) are not simulated.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import DTypeLike, NDArray

from pipeline.simulator.projection import PixelGrid, Projection
from pipeline.simulator.refusal import EarthEngineError

MAX_SOURCE_PIXELS = 40_000_000
"""Pixels of one band that one request may read from a scene, our stand-in for user memory."""

Pixels = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values and validity (True = valid), both (rows, columns)."""

Window = Callable[[int, int, int, int], Pixels]
"""Reads [row_start, row_stop) x [col_start, col_stop) of a band's own grid."""

Interpolation = Literal["nearest", "bilinear"]


@dataclass(frozen=True, eq=False)
class Band:
    """One band of an image.

    Attributes:
        name: Its name.
        dtype: Type of its pixels.
        projection: The grid it comes from; None for constants and mosaics.
        evaluate: Values of ``dtype`` and validity on any grid.
    """

    name: str
    dtype: np.dtype[Any]
    projection: Projection | None
    evaluate: Callable[[PixelGrid], Pixels]

    def renamed(self, name: str) -> "Band":
        """The same band under another name."""
        return replace(self, name=name)

    def mapped(self, change: Callable[[Pixels], Pixels], dtype: DTypeLike | None = None) -> "Band":
        """The band after a pixel-wise change, by default of the same type."""
        evaluate = self.evaluate
        return replace(
            self,
            dtype=np.dtype(dtype or self.dtype),
            evaluate=lambda grid: change(evaluate(grid)),
        )

    def resampled(self, interpolation: Interpolation) -> "Band":
        """The band interpolated from its own grid; integers become float64.

        A band without a grid of its own (a constant) stays as it is, as in Earth Engine.
        """
        if self.projection is None:
            return self
        dtype = self.dtype if self.dtype.kind == "f" else np.dtype(np.float64)
        evaluate = on_any_grid(self.own_window(), self.projection, interpolation)
        return replace(self, dtype=dtype, evaluate=evaluate).cast(dtype)

    def reprojected(self, projection: Projection) -> "Band":
        """The band computed on another grid first; what reads it sees those pixels."""
        moved = replace(self, projection=projection)
        return replace(moved, evaluate=on_any_grid(moved.own_window(), projection, "nearest"))

    def cast(self, dtype: DTypeLike) -> "Band":
        """The band in another type, clamped and truncated."""
        return self.mapped(lambda pixels: (cast(pixels[0], dtype), pixels[1]), dtype)

    def own_window(self) -> Window:
        """A reader of the band on its own grid."""
        projection, evaluate = self.projection, self.evaluate
        if projection is None:
            raise EarthEngineError(f"Band '{self.name}' has no fixed projection.")

        def read(row_start: int, row_stop: int, col_start: int, col_stop: int) -> Pixels:
            shifted = projection.transform @ Affine.translation(col_start, row_start)
            moved = Projection(projection.epsg, shifted)
            return evaluate(PixelGrid(moved, col_stop - col_start, row_stop - row_start))

        return read


def on_any_grid(
    window: Window, projection: Projection, interpolation: Interpolation
) -> Callable[[PixelGrid], Pixels]:
    """Evaluates pixels stored on one grid at the pixel centres of any other.

    A centre that falls on the border of two pixels takes the one to the right or below.

    Args:
        window: Reads the stored pixels.
        projection: Their grid.
        interpolation: ``nearest`` keeps values and type, ``bilinear`` gives float64.
    """
    sample = _nearest if interpolation == "nearest" else _bilinear

    def evaluate(grid: PixelGrid) -> Pixels:
        columns, rows = _pixel_positions(grid, projection)
        return sample(window, columns, rows)

    return evaluate


def cast(values: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Values in another type: clamped to its range, fractions cut off, NaN becomes 0.

    Source: https://developers.google.com/earth-engine/apidocs/ee-image-cast
    """
    target = np.dtype(dtype)
    if values.dtype == target:
        return values
    if target.kind not in "iu":
        return values.astype(target)
    limits = np.iinfo(target)
    if values.dtype.kind == "f":
        values = np.trunc(np.nan_to_num(values.astype(np.float64), posinf=np.inf, neginf=-np.inf))
    return np.clip(values, limits.min, limits.max).astype(target)


def _pixel_positions(
    grid: PixelGrid, projection: Projection
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the grid's centres lie on stored pixels: column and row, 0 = first pixel's centre.

    Rounded to a millionth of a pixel, which absorbs what is left of 1e-9 m in the coordinates.
    """
    x, y = grid.centres_in(projection.epsg)
    inverse = ~projection.transform
    if inverse.b == 0.0 and inverse.d == 0.0:
        columns = (x - projection.transform.c) / projection.transform.a
        rows = (y - projection.transform.f) / projection.transform.e
    else:
        columns = inverse.a * x + inverse.b * y + inverse.c
        rows = inverse.d * x + inverse.e * y + inverse.f
    return np.round(columns - 0.5, 6), np.round(rows - 0.5, 6)


def _nearest(window: Window, columns: NDArray[Any], rows: NDArray[Any]) -> Pixels:
    column, row = _whole(columns + 0.5), _whole(rows + 0.5)
    (values, valid), first_row, first_column = _read_around(window, row, column, 1)
    row, column = row - first_row, column - first_column
    return _pick(values, row, column), _pick(valid, row, column)


def _bilinear(window: Window, columns: NDArray[Any], rows: NDArray[Any]) -> Pixels:
    column, row = _whole(columns), _whole(rows)
    right, below = columns - column, rows - row
    (values, valid), first_row, first_column = _read_around(window, row, column, 2)
    values = np.where(valid, values, 0.0)  # a NaN would spread even with a weight of 0
    row, column = row - first_row, column - first_column

    def between(neighbour_row: NDArray[Any]) -> NDArray[Any]:
        left_values = _pick(values, neighbour_row, column)
        return left_values + (_pick(values, neighbour_row, column + 1) - left_values) * right

    upper = between(row)
    lower = between(row + 1)
    return upper + (lower - upper) * below, _usable(valid, row, column, right > 0.0, below > 0.0)


def _usable(
    valid: NDArray[np.bool_],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    to_right: NDArray[np.bool_],
    to_below: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Where all neighbours that have a weight are valid."""
    if valid.all():
        return np.ones(np.broadcast_shapes(row.shape, column.shape), np.bool_)
    usable = _pick(valid, row, column)
    usable = usable & (_pick(valid, row, column + 1) | ~to_right)
    usable &= _pick(valid, row + 1, column) | ~to_below
    return usable & (_pick(valid, row + 1, column + 1) | ~(to_right & to_below))


def _pick(values: NDArray[Any], row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[Any]:
    """The values at rows and columns that broadcast; an axis at a time where each has its own."""
    if row.shape[1] == 1 and column.shape[0] == 1:
        return values[row[:, 0]][:, column[0]]
    return values[row, column]


def _whole(positions: NDArray[Any]) -> NDArray[np.int64]:
    if not np.isfinite(positions).all():
        raise EarthEngineError("A part of the pixel grid lies outside the domain of the CRS.")
    return np.floor(positions).astype(np.int64)


def _read_around(
    window: Window, rows: NDArray[np.int64], columns: NDArray[np.int64], reach: int
) -> tuple[Pixels, int, int]:
    """The smallest window with all the pixels and ``reach - 1`` more to the right and below."""
    row_start, row_stop = int(rows.min()), int(rows.max()) + reach
    col_start, col_stop = int(columns.min()), int(columns.max()) + reach
    if (row_stop - row_start) * (col_stop - col_start) > MAX_SOURCE_PIXELS:
        raise EarthEngineError("User memory limit exceeded.")
    return window(row_start, row_stop, col_start, col_stop), row_start, col_start
