"""Band statistics beside the published ones, with a warning where they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.sensors import all_bands
from pipeline.verify.figures import load_published

SHIFT_LIMIT = 0.5
"""Warn if a mean is off by more than this many published standard deviations. Ours: regions differ
from the globe, wrong units or bands differ by more."""

SPREAD_LIMIT = 2.0
"""Warn if a standard deviation is more than this many times larger or smaller. Ours."""

OFFSET = 1000.0
OFFSET_TOLERANCE = 150.0
"""What processing baseline 04.00 adds to every band, in reflectance x 10000, and how near to it the
median difference of all bands must be to be taken for it. Source of the offset: ESA, Sentinel-2
Products Specification Document, RADIO_ADD_OFFSET."""


@dataclass(frozen=True)
class BandComparison:
    """One band of a store beside the published figures.

    Attributes:
        band: Name.
        unit: ``1e-4`` or ``dB``.
        mean: Of the store's train split, all seasons.
        std: Likewise.
        published_mean: Over SSL4EO-S12, whose images the released dataset has.
        published_std: Likewise.
        count: Pixels of the store that were summed.
    """

    band: str
    unit: str
    mean: float
    std: float
    published_mean: float
    published_std: float
    count: int

    @property
    def shift(self) -> float:
        """Difference of the means in published standard deviations."""
        return (self.mean - self.published_mean) / self.published_std

    @property
    def spread(self) -> float:
        """Standard deviation as a multiple of the published one."""
        return self.std / self.published_std

    @property
    def warning(self) -> str:
        """What differs more than a region may; empty if nothing does."""
        found = []
        if abs(self.shift) > SHIFT_LIMIT:
            found.append(f"mean {self.shift:+.2f} published std away")
        if not 1 / SPREAD_LIMIT <= self.spread <= SPREAD_LIMIT:
            found.append(f"std {self.spread:.2f} times the published one")
        return ", ".join(found)


def compare_bands(statistics: Mapping[str, Mapping[str, float]]) -> list[BandComparison]:
    """Each band of a store beside the published figures, in the order of ``bands.csv``.

    Args:
        statistics: By band, with ``mean``, ``std`` and ``count``.
    """
    published = {row.band: row for row in load_published()}
    return [
        BandComparison(
            band.name,
            published[band.name].unit,
            float(statistics[band.name]["mean"]),
            float(statistics[band.name]["std"]),
            published[band.name].mean,
            published[band.name].std,
            int(statistics[band.name]["count"]),
        )
        for band in all_bands()
        if band.name in statistics
    ]


def offset_warning(bands: Sequence[BandComparison]) -> str:
    """One line if all optical bands together look as if an offset was left in; else empty."""
    differences = sorted(band.mean - band.published_mean for band in bands if band.unit != "dB")
    if not differences:
        return ""
    median = differences[len(differences) // 2]
    if abs(median - OFFSET) > OFFSET_TOLERANCE:
        return ""
    return (
        f"the optical bands lie {median:+.0f} above the published means: was the offset of "
        "processing baseline 04.00 (+1000) left in?"
    )
