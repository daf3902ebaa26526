"""Dynamic World on the simulated Earth: labels as wrong as the real ones.

A network looking at one cloud-free image confuses look-alikes over whole patches, differently on
every date, rounds corners, shifts boundaries and misses what is small. In that order:
`confused`, then `displaced`, then the majority of a neighbourhood.
"""

import datetime
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.legend import load_legend
from pipeline.simulator.clouds import CloudField
from pipeline.simulator.interpolation import through_nodes
from pipeline.simulator.noise import mix, value_noise
from pipeline.simulator.surfaces import PHASES
from pipeline.simulator.tables import read_table
from pipeline.simulator.world import PIXEL_M, Scenery, scenery_around

Plane = NDArray[np.float32]
Labels = NDArray[np.uint8]

_CLASSES = 9
_REACH = 2  # the neighbourhood is 5 x 5 pixels
_LARGEST_SHIFT = 2
_MARGIN_M = (_REACH + _LARGEST_SHIFT) * PIXEL_M
_BITS = np.uint64(7)  # per class in a packed count, enough for 127 votes
_MASKED_OPACITY, _MASKED_SHADOW = 0.3, 0.55
_NODE_M = 60.0
_LASTING_M, _PASSING_M, _KIND_M, _SHIFT_M = 700.0, 320.0, 500.0, 160.0
_LASTING, _PASSING, _FIELDWISE = 0.76, 0.5, 1.4  # the last one times a uniform number
_DORMANT_DOUBT, _MEAN_GREEN = 0.6, 0.5


@dataclass(frozen=True)
class DynamicWorldPainter:
    """Paints the bands of one Dynamic World image: nine probabilities and the label.

    Attributes:
        date: Sensing day.
        seed: Of the world.
        salt: Of the granule.
        sky: Its clouds; where they or their shadows are, nothing is classified.
    """

    date: datetime.date
    seed: int
    salt: int
    sky: CloudField

    def __call__(
        self, band: str, grid: PatchGrid
    ) -> tuple[NDArray[np.uint8] | Plane, NDArray[np.bool_]]:
        """A band on a window of the tile's grid, and where the sky is clear."""
        votes = self._votes(grid)
        cloudy = self.sky.opacity(grid) > _MASKED_OPACITY
        clear = ~(cloudy | (self.sky.shadow(grid) > _MASKED_SHADOW))
        if band == "label":
            return _most_votes(votes), clear
        names = [row.flag_meaning for row in load_legend("dynamic_world")]
        return _probability(votes, names.index(band)), clear

    def _votes(self, grid: PatchGrid) -> NDArray[np.uint64]:
        """Classes in the neighbourhood of each pixel, counted in one packed number."""
        scenery = scenery_around(grid, _MARGIN_M, self.date, self.seed)
        seen = _displaced(_confused(scenery, self.seed, self.salt), scenery.grid, self.salt)
        ballots = np.uint64(1) << (seen.astype(np.uint64) * _BITS)
        return _neighbourhood_sums(ballots)


def _confused(scenery: Scenery, seed: int, salt: int) -> Labels:
    """The classes that look-alikes are taken for, in patches."""
    layers = _smooth_noise(
        scenery.grid, (_LASTING_M, _PASSING_M, _KIND_M), (seed ^ 0x5A17, salt, salt ^ 0x3C3C)
    )
    doubt = _doubt(scenery, layers[0], layers[1], salt)
    label = scenery.state.label
    limits, kinds, others = _confusions()
    seen = others[0].take(label)
    for kind, other in zip(kinds, others[1:], strict=True):
        np.copyto(seen, other.take(label), where=layers[2] > kind.take(label))
    return np.where(doubt > limits.take(label), seen, label)


def _doubt(scenery: Scenery, lasting: Plane, passing: Plane, salt: int) -> Plane:
    """How misleading each place is: some for ever, some this time; standard normal on average.

    Fields that look alike are misread together, and bare or dormant land misleads more.
    """
    phases = mix(np.arange(PHASES, dtype=np.uint64) ^ np.uint64(salt))
    by_phase = (phases >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24) - 0.5
    field = by_phase.take(scenery.landscape.calendar % PHASES)
    dormant = _DORMANT_DOUBT * (_MEAN_GREEN - scenery.state.green)
    return _LASTING * lasting + _PASSING * passing + _FIELDWISE * field + dormant


def _displaced(seen: Labels, grid: PatchGrid, salt: int) -> Labels:
    """Labels shifted by up to `_LARGEST_SHIFT` pixels; as many are lost on every side."""
    right, down = _smooth_noise(grid, (_SHIFT_M, _SHIFT_M), (salt ^ 0xE57, salt ^ 0x50F7))
    inner = slice(_LARGEST_SHIFT, -_LARGEST_SHIFT)
    largest = _LARGEST_SHIFT
    steps = [
        np.clip(np.rint(1.1 * shift[inner, inner]), -largest, largest).astype(np.intp)
        for shift in (down, right)
    ]
    rows, columns = np.indices(steps[0].shape, sparse=True)
    position = (rows + largest + steps[0]) * seen.shape[1] + columns + largest + steps[1]
    return np.ascontiguousarray(seen).ravel().take(position)


def _neighbourhood_sums(ballots: NDArray[np.uint64]) -> NDArray[np.uint64]:
    span = 2 * _REACH + 1
    height, width = (size - 2 * _REACH for size in ballots.shape)
    rows = ballots[:height].copy()
    for step in range(1, span):
        rows += ballots[step : step + height]
    sums = rows[:, :width].copy()
    for step in range(1, span):
        sums += rows[:, step : step + width]
    return sums


def _count(votes: NDArray[np.uint64], label: int) -> NDArray[np.uint8]:
    field = (votes >> (np.uint64(label) * _BITS)) & np.uint64(2 ** int(_BITS) - 1)
    return field.astype(np.uint8)


def _most_votes(votes: NDArray[np.uint64]) -> Labels:
    """The class with most votes; of equals the one with the lower number."""
    best = np.zeros(votes.shape, np.uint16)
    for label in range(_CLASSES):
        key = _count(votes, label).astype(np.uint16) << np.uint16(4)
        np.maximum(best, key | np.uint16(15 - label), out=best)
    return (15 - (best & np.uint16(15))).astype(np.uint8)


def _probability(votes: NDArray[np.uint64], label: int) -> Plane:
    """Estimated probability of a class; the largest of the nine belongs to the label."""
    total = (2 * _REACH + 1) ** 2
    return (_count(votes, label) + np.float32(0.5)) / np.float32(total + 0.5 * _CLASSES)


def _smooth_noise(
    grid: PatchGrid, spacings: tuple[float, ...], salts: tuple[int, ...]
) -> NDArray[np.float32]:
    """(layers, rows, columns) of standard normal noise fixed in the zone."""
    low_bits = np.array([salt % 2**64 for salt in salts], np.uint64)

    def noise(x: NDArray[np.float64], y: NDArray[np.float64]) -> Plane:
        points = np.stack([x, y, np.zeros_like(x)])
        return value_noise(points, np.array(spacings), low_bits)

    return through_nodes(grid, _NODE_M, noise)


@cache
def _confusions() -> tuple[Plane, Plane, Labels]:
    """When and for what each class is mistaken, from ``confusion.csv``.

    Returns:
        (classes,) doubt above which a class is mistaken; (choices - 1, classes) values of a
        standard normal field above which the next choice is taken; (choices, classes) the choices.
    """
    chosen = [
        [row for row in read_table("confusion.csv") if row["label"] == str(label)]
        for label in range(_CLASSES)
    ]
    choices = max(map(len, chosen))
    limits = np.empty(_CLASSES, np.float32)
    kinds = np.full((choices - 1, _CLASSES), np.inf, np.float32)
    others = np.zeros((choices, _CLASSES), np.uint8)
    normal = NormalDist()
    for label, rows in enumerate(chosen):
        rates = [float(row["rate"]) for row in rows]
        limits[label] = normal.inv_cdf(1.0 - sum(rates))
        others[: len(rows), label] = [int(row["taken_for"]) for row in rows]
        for step in range(1, len(rows)):
            kinds[step - 1, label] = normal.inv_cdf(sum(rates[:step]) / sum(rates))
    return limits, kinds, others
