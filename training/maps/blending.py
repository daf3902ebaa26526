"""One prediction from overlapping windows, a strip of the scene at a time.

Near the edge of a window a network sees half of its surroundings, so overlapping windows are
averaged, each with a weight that falls to its edges. Memory holds one strip as high as a window and
as wide as the scene: it does not grow with the number of rows.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError


class Window(NamedTuple):
    """A rectangle of pixels of the scene."""

    row: int
    column: int
    height: int
    width: int


class Strip(NamedTuple):
    """Finished rows, top down.

    Attributes:
        row: Of the scene, where the strip begins.
        shares_CHW: Weighted mean of the windows' class shares, float32.
    """

    row: int
    shares_CHW: NDArray[np.float32]


def window_starts(length: int, size: int, overlap: int) -> list[int]:
    """Where windows begin along one axis; the last ends with the scene, whatever its length.

    Args:
        length: Pixels of the scene.
        size: Pixels of a window.
        overlap: Least number of pixels that neighbours share.

    Raises:
        PipelineError: Windows would not move on.
    """
    if not 0 <= overlap < size:
        raise PipelineError(f"an overlap of {overlap} pixels does not fit windows of {size}")
    if length <= size:
        return [0]
    last = length - size
    return [*range(0, last, size - overlap), last]


def edge_weights(height: int, width: int, overlap: int) -> NDArray[np.float32]:
    """Weight of each pixel of a window: 1 inside, falling linearly over the overlap, never 0."""
    return np.outer(_ramp(height, overlap), _ramp(width, overlap)).astype(np.float32)


def blended_strips(
    shape: tuple[int, int],
    num_classes: int,
    size: int,
    overlap: int,
    predict: Callable[[Window], NDArray[np.float32]],
) -> Iterator[Strip]:
    """Predict a scene window by window and give it back strip by strip.

    Args:
        shape: Rows and columns of the scene.
        num_classes: C, first axis of what `predict` returns.
        size: Rows and columns of a window.
        overlap: Least number of pixels that neighbours share.
        predict: Class shares (C, height, width) of a window, summing to 1.

    Yields:
        Strips that cover every row once, top down.
    """
    rows, columns = shape
    tops = window_starts(rows, size, overlap)
    lefts = window_starts(columns, size, overlap)
    height, width = min(size, rows), min(size, columns)
    weights_HW = edge_weights(height, width, overlap)
    sums_CHW = np.zeros((num_classes, height, columns), np.float32)
    totals_HW = np.zeros((height, columns), np.float32)
    for top, following in zip(tops, [*tops[1:], rows], strict=True):
        for left in lefts:
            span = slice(left, left + width)
            sums_CHW[:, :, span] += predict(Window(top, left, height, width)) * weights_HW
            totals_HW[:, span] += weights_HW
        done = following - top
        yield Strip(top, sums_CHW[:, :done] / totals_HW[:done])
        _move_up(sums_CHW, done)
        _move_up(totals_HW[None], done)


def _move_up(strip_CHW: NDArray[np.float32], rows: int) -> None:
    """Drop finished rows from a strip, in place, and make room for new ones."""
    kept = strip_CHW.shape[1] - rows
    strip_CHW[:, :kept] = strip_CHW[:, rows:].copy()
    strip_CHW[:, kept:] = 0


def _ramp(length: int, overlap: int) -> NDArray[np.float64]:
    from_edge = np.minimum(np.arange(length), np.arange(length)[::-1])
    return np.minimum(1.0, (from_edge + 0.5) / max(overlap, 0.5))
