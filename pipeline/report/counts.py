"""How many samples were kept, why the others were not, and how the classes are distributed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.label_classes import LabelClass
from pipeline.legend import UNLABELLED

KEPT = "kept"


@dataclass(frozen=True)
class Outcomes:
    """What became of the candidates of one store.

    Attributes:
        store: Its name, e.g. ``nol``.
        unit: What is counted: ``locations`` or ``tiles``.
        total: All candidates.
        kept: Complete samples.
        rejected: Rejected candidates by reason, the most frequent first.
        splits: Kept samples by split.
    """

    store: str
    unit: str
    total: int
    kept: int
    rejected: Mapping[str, int]
    splits: Mapping[str, int]

    def share(self, count: int) -> float:
        """A number of candidates as a share of all."""
        return count / self.total if self.total else 0.0


def count_outcomes(
    store: str, unit: str, reasons: Sequence[str], splits: Sequence[str]
) -> Outcomes:
    """Count candidates.

    Args:
        store: Name.
        unit: What a candidate is.
        reasons: Of each candidate, ``kept`` or why it is not.
        splits: Of each candidate.
    """
    counts = Counter(reasons)
    rejected = {
        reason: number
        for reason, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if reason != KEPT
    }
    kept = (split for reason, split in zip(reasons, splits, strict=True) if reason == KEPT)
    by_split = dict(sorted(Counter(kept).items(), key=lambda item: _split_order(item[0])))
    return Outcomes(store, unit, len(reasons), counts[KEPT], rejected, by_split)


def _split_order(split: str) -> tuple[int, str]:
    """Training first, test last."""
    known = ("train", "validation", "test")
    return (known.index(split) if split in known else len(known), split)


def outcome_names(valid: Iterable[Any], reasons: Iterable[Any]) -> list[str]:
    """``kept`` for valid candidates, else the reason on record."""
    return [
        KEPT if ok else str(reason or "unknown") for ok, reason in zip(valid, reasons, strict=True)
    ]


@dataclass(frozen=True)
class ClassDistribution:
    """Pixels of each class in one part of one store.

    Attributes:
        store: Its name.
        split: Part of it.
        season: 0 to 3; None over all seasons, or where there is one date only.
        classes: The legend.
        pixels: Pixels by class id.
        unlabelled: Pixels without label.
    """

    store: str
    split: str
    season: int | None
    classes: tuple[LabelClass, ...]
    pixels: Mapping[int, int]
    unlabelled: int

    @property
    def labelled(self) -> int:
        """Pixels with a label."""
        return sum(self.pixels.values())

    def share(self, class_id: int) -> float:
        """Share of a class among the labelled pixels."""
        return self.pixels[class_id] / self.labelled if self.labelled else 0.0

    @property
    def unlabelled_share(self) -> float:
        """Share of all pixels that have no label."""
        total = self.labelled + self.unlabelled
        return self.unlabelled / total if total else 0.0


def seasonal_distributions(
    store: str,
    by_split: Mapping[str, Mapping[str, Mapping[str, int]]],
    legend: Sequence[LabelClass],
) -> list[ClassDistribution]:
    """The distributions that the statistics of a store of four seasons hold.

    Args:
        store: Name.
        by_split: ``classes`` of the statistics: pixels by split, season and class name.
        legend: Classes of the label.
    """
    return [
        ClassDistribution(
            store,
            split,
            None if season == "all" else int(season),
            tuple(legend),
            {row.id: int(pixels[row.key]) for row in legend},
            int(pixels["unlabelled"]),
        )
        for split, seasons in sorted(by_split.items(), key=lambda item: _split_order(item[0]))
        for season, pixels in sorted(seasons.items(), key=lambda item: (item[0] != "all", item[0]))
    ]


def tile_distributions(
    store: str, by_split: Mapping[str, Mapping[str, int]], legend: Sequence[LabelClass]
) -> list[ClassDistribution]:
    """The distributions of a store of tiles.

    Args:
        store: Name.
        by_split: Pixels by split and label value.
        legend: Classes of the label.
    """
    return [
        ClassDistribution(
            store,
            split,
            None,
            tuple(legend),
            {row.id: int(pixels.get(str(row.id), 0)) for row in legend},
            int(pixels.get(str(UNLABELLED), 0)),
        )
        for split, pixels in sorted(by_split.items(), key=lambda item: _split_order(item[0]))
    ]
