"""How labels agree: Dynamic World with itself over the seasons, OSM land use with Dynamic World."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.legend import load_legend
from pipeline.osm_landuse.agreement import load_crosswalk
from pipeline.report.acquisitions import Histogram

AGREEMENT_BINS = 20


@dataclass(frozen=True)
class SeasonPair:
    """Two seasons of the same places.

    Attributes:
        seasons: Which.
        joint: Pixels labelled in both.
        same: Of these, pixels of the same class.
    """

    seasons: tuple[int, int]
    joint: int
    same: int

    @property
    def share(self) -> float:
        """Share of the pixels labelled in both that kept their class."""
        return self.same / self.joint if self.joint else float("nan")


def season_pairs(tables: Mapping[str, Sequence[Sequence[int]]]) -> list[SeasonPair]:
    """The pairs of seasons of the label sums.

    Args:
        tables: ``seasons`` of the label sums: (classes, classes) pixels by pair, as ``0-1``.
    """
    pairs = []
    for name, table in sorted(tables.items()):
        first, second = (int(part) for part in name.split("-"))
        counts = np.array(table)
        pairs.append(SeasonPair((first, second), int(counts.sum()), int(np.trace(counts))))
    return pairs


@dataclass(frozen=True)
class Persistence:
    """How a class stays from season to season.

    Attributes:
        share: Of the pixels of the class in one season, those of the same class in another.
        pixels: Pixels of the class, counted once for each other season that labels them too.
    """

    share: float
    pixels: int


def class_persistence(tables: Mapping[str, Sequence[Sequence[int]]]) -> dict[int, Persistence]:
    """By class id: how often a pixel of the class in one season has it in another one too.

    Pairs of seasons are taken both ways: 2 n_cc / (row sum + column sum).
    """
    total = sum((np.array(table) for table in tables.values()), start=np.zeros((1, 1), np.int64))
    either = total.sum(axis=0) + total.sum(axis=1)
    return {
        row.id: Persistence(float(2 * total[row.id, row.id] / either[row.id]), int(either[row.id]))
        for row in load_legend("dynamic_world")
        if len(either) > row.id and either[row.id]
    }


@dataclass(frozen=True, eq=False)
class OsmAgreement:
    """OSM land use against the expert labels.

    Attributes:
        tiles: Tiles whose agreement is defined, kept and dropped ones.
        histogram: Their agreement, 0 to 1.
        threshold: Agreement from which a tile is kept.
        confusion: (OSM classes, Dynamic World classes) pixels of the kept tiles.
    """

    tiles: int
    histogram: Histogram
    threshold: float
    confusion: NDArray[np.int64]

    @property
    def joint(self) -> int:
        """Pixels of the kept tiles labelled in both."""
        return int(self.confusion.sum())

    @property
    def agreeing(self) -> int:
        """Of these, those whose OSM class admits the Dynamic World class (Table I)."""
        return int(self.confusion[load_crosswalk()].sum())


def osm_agreement(
    agreements: NDArray[Any], threshold: float, admitted: Mapping[str, Sequence[Sequence[int]]]
) -> OsmAgreement:
    """Put the figures of the tiles and of their pixels together.

    Args:
        agreements: Of each tile, NaN if undefined.
        threshold: Setting ``osm_landuse.min_agreement``.
        admitted: ``admitted`` of the label sums: pixels by split, OSM and Dynamic World class.
    """
    defined = np.asarray(agreements, np.float64)
    defined = defined[np.isfinite(defined)]
    edges = np.linspace(0.0, 1.0, AGREEMENT_BINS + 1)
    counts, _ = np.histogram(defined, edges)
    shape = load_crosswalk().shape
    total = np.zeros(shape, np.int64)
    for table in admitted.values():
        total += np.array(table)[: shape[0], : shape[1]]
    histogram = Histogram(tuple(edges.tolist()), tuple(counts.tolist()))
    return OsmAgreement(len(defined), histogram, threshold, total)
