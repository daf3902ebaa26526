"""How far two images of one place are displaced: correlation of their edges at whole-pixel shifts.

Edges, not values, are compared: fields, roads and shores show in every sensor and band, whatever
their contrast. The method is the classical one of image registration by cross-correlation
(Zitova and Flusser 2003, Image Vision Comput. 21, section 4.1, doi:10.1016/S0262-8856(03)00137-9),
in the Fourier domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

REACH = 3
"""Largest shift looked for, pixels."""

_SMOOTHING = 1.0
"""Standard deviation of the Gaussian before the gradient, pixels; keeps noise out of it."""

_STRONGEST = 8.0
"""Gradients are cut at so many medians, lest one bright roof decide for a whole scene."""

_MARGIN = 8
"""Pixels over which edges fade out at the border, where shifted images have no counterpart."""


@dataclass(frozen=True)
class Peak:
    """Where a correlation surface is highest.

    Attributes:
        down: Rows that the second image lies further south than the first, whole pixels.
        right: Columns that it lies further east.
        exact: The same two with fractions, from a parabola through the neighbours.
        correlation: At the peak.
        gain: By how much that exceeds the correlation at zero shift.
    """

    down: int
    right: int
    exact: tuple[float, float]
    correlation: float
    gain: float

    @property
    def in_place(self) -> bool:
        """Whether the images fit best as they are."""
        return self.down == 0 and self.right == 0


def brightness_edges(
    bands: Sequence[NDArray[Any]], smoothing: float = _SMOOTHING
) -> NDArray[np.float32]:
    """Edges of bands on one grid, together: gradients of the logarithm, each band counting alike.

    Args:
        bands: (y, x) each, non-negative, 0 = no data.
        smoothing: Standard deviation of the Gaussian, pixels.
    """
    return _sum_of_gradients([np.log1p(band.astype(np.float32)) for band in bands], smoothing)


def backscatter_edges(
    polarisations: Sequence[NDArray[Any]], nodata: int, smoothing: float = 1.5
) -> NDArray[np.float32]:
    """Edges of radar images in units of a logarithm (dB), smoothed against speckle."""
    filled = [np.where(image == nodata, 0, image).astype(np.float32) for image in polarisations]
    return _sum_of_gradients(filled, smoothing)


def label_edges(label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Boundaries between classes, and of what is labelled: experts leave gaps between classes."""
    edges = np.zeros(label.shape, np.float32)
    down, right = label[1:] != label[:-1], label[:, 1:] != label[:, :-1]
    edges[1:] += down
    edges[:-1] += down
    edges[:, 1:] += right
    edges[:, :-1] += right
    return edges


def spectrum(edges: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Fourier transform of edges with mean 0 and unit energy, faded out at the border.

    Flat images, which have no edges, become 0 and correlate with nothing.
    """
    tapered = (edges - edges.mean()) * _taper(edges.shape[0])[:, None] * _taper(edges.shape[1])
    energy = np.sqrt((tapered**2).sum())
    return np.asarray(fft.rfft2(tapered / energy if energy > 0 else tapered * 0))


def correlation_surface(
    first: NDArray[np.complex64], second: NDArray[np.complex64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Correlation at every shift up to `REACH`, (2 REACH + 1, 2 REACH + 1); zero in the middle."""
    correlation = fft.irfft2(np.conj(first) * second, shape)
    window = np.arange(-REACH, REACH + 1)
    return np.asarray(correlation[np.ix_(window, window)])


def find_peak(surface: NDArray[Any]) -> Peak:
    """The highest place of a correlation surface."""
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    down, right = int(row) - REACH, int(column) - REACH
    exact = (
        down + _vertex(surface[:, column], int(row)),
        right + _vertex(surface[row], int(column)),
    )
    highest = float(surface[row, column])
    return Peak(down, right, exact, highest, highest - float(surface[REACH, REACH]))


def _sum_of_gradients(bands: Sequence[NDArray[np.float32]], smoothing: float) -> NDArray[Any]:
    total = np.zeros(bands[0].shape, np.float32)
    for band in bands:
        smooth = ndimage.gaussian_filter(band, smoothing, mode="nearest", truncate=3)
        gradient = np.zeros_like(smooth)
        gradient[1:-1] += (smooth[2:] - smooth[:-2]) ** 2
        gradient[:, 1:-1] += (smooth[:, 2:] - smooth[:, :-2]) ** 2
        gradient = np.sqrt(gradient)
        typical = float(np.median(gradient))
        if typical > 0:
            total += np.minimum(gradient / typical, _STRONGEST)
    return total


@cache
def _taper(size: int) -> NDArray[np.float32]:
    margin = min(_MARGIN, size // 4)
    rise = np.sin(np.linspace(0, np.pi / 2, margin + 2)[1:-1]) ** 2
    return np.concatenate([rise, np.ones(size - 2 * margin), rise[::-1]]).astype(np.float32)


def _vertex(values: NDArray[Any], index: int) -> float:
    if not 0 < index < len(values) - 1:
        return 0.0
    before, here, after = (float(values[index + step]) for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0
