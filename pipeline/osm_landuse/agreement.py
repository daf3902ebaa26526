"""How well OSM labels and Dynamic World labels of a tile agree, and whether the tile is kept.

Two numberings of the 13 OSM classes are in circulation and Dynamic World exists 0- and 1-based, so
the agreement over all tiles also guards the numbering: mixed up, it falls from 1.00 to 0.17 or 0.05
where it should be perfect.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.decode import TileStatus
from pipeline.settings.osm_landuse import OsmLanduseSettings


@dataclass(frozen=True)
class Agreement:
    """Pixel counts of one tile.

    Attributes:
        pixels: All pixels.
        osm_labelled: Pixels with an OSM label.
        joint: Pixels labelled in both.
        agreeing: Joint pixels whose OSM class admits their Dynamic World class.
    """

    pixels: int
    osm_labelled: int
    joint: int
    agreeing: int

    @property
    def share(self) -> float:
        """Agreeing share of the joint pixels; NaN without any."""
        return self.agreeing / self.joint if self.joint else float("nan")

    @property
    def joint_share(self) -> float:
        """Share of all pixels labelled in both."""
        return self.joint / self.pixels

    @property
    def osm_share(self) -> float:
        """Share of all pixels with an OSM label."""
        return self.osm_labelled / self.pixels


class Verdict(StrEnum):
    """Why a tile is kept or dropped."""

    KEPT = "kept"
    EMPTY = "empty"
    """Dropped: OSM has no label here."""
    UNKNOWN_COLOURS = "unknown_colours"
    """Dropped: too much of the picture is in no legend colour."""
    FEW_JOINT_PIXELS = "few_joint_pixels"
    """Dropped: too few pixels are labelled in both."""
    LOW_AGREEMENT = "low_agreement"
    """Dropped: OSM and Dynamic World contradict each other."""
    VETOED = "vetoed"
    """Dropped: a person reviewed it."""


@cache
def load_crosswalk() -> NDArray[np.bool_]:
    """Which Dynamic World classes each OSM class admits: (osm id, dw id) bool, read-only.

    Source: CromSS paper, Table I (``crosswalk.csv``).
    """
    admits = np.zeros((len(load_legend("osm_landuse")), len(load_legend("dynamic_world"))), bool)
    with files("pipeline").joinpath("crosswalk.csv").open() as table:
        for row in csv.DictReader(table):
            admits[int(row["osm_id"]), int(row["dw_id"])] = True
    admits.flags.writeable = False
    return admits


def measure_agreement(osm: NDArray[np.uint8], dw: NDArray[np.uint8]) -> Agreement:
    """Agreement of the labels of one tile by Table I.

    Args:
        osm: (y, x) uint8, ids of ``osm_landuse`` from 0, 255 = no label.
        dw: (y, x) uint8, ids of ``dynamic_world`` from 0, 255 = no label.

    Raises:
        PipelineError: A label is outside its legend.
        ValueError: The shapes differ.
    """
    if osm.shape != dw.shape:
        raise ValueError(f"labels of {osm.shape} and {dw.shape} pixels are not of one tile")
    admits = load_crosswalk()
    _check_range(osm, "osm_landuse", admits.shape[0])
    _check_range(dw, "dynamic_world", admits.shape[1])
    joint = (osm != UNLABELLED) & (dw != UNLABELLED)
    return Agreement(
        pixels=osm.size,
        osm_labelled=int((osm != UNLABELLED).sum()),
        joint=int(joint.sum()),
        agreeing=int(admits[osm[joint], dw[joint]].sum()),
    )


def _check_range(label: NDArray[np.uint8], legend: str, classes: int) -> None:
    outside = label[(label >= classes) & (label != UNLABELLED)]
    if outside.size:
        raise PipelineError(
            f"label {int(outside[0])} is not in the legend {legend} (0 to {classes - 1}, 255 = no "
            "label); are these labels numbered from 1?"
        )


def judge_tile(status: TileStatus, agreement: Agreement, settings: OsmLanduseSettings) -> Verdict:
    """Whether a tile is kept, by its picture's status and its agreement."""
    if status is TileStatus.EMPTY:
        return Verdict.EMPTY
    if status is TileStatus.UNKNOWN_COLOURS:
        return Verdict.UNKNOWN_COLOURS
    if not agreement.joint or agreement.joint_share < settings.min_joint_share:
        return Verdict.FEW_JOINT_PIXELS
    if agreement.share < settings.min_agreement:
        return Verdict.LOW_AGREEMENT
    return Verdict.KEPT


def check_numbering(agreements: Iterable[Agreement], plausible_agreement: float) -> None:
    """Refuse to go on if all tiles together agree less than chance mistakes explain.

    Raises:
        PipelineError: The joint agreement is below ``plausible_agreement``.
    """
    counted = list(agreements)
    joint = sum(agreement.joint for agreement in counted)
    agreeing = sum(agreement.agreeing for agreement in counted)
    if joint and agreeing < plausible_agreement * joint:
        raise PipelineError(
            f"OSM and Dynamic World agree on {agreeing / joint:.1%} of {joint} pixels, under "
            f"{plausible_agreement:.0%} (osm_landuse.plausible_agreement); is this the released "
            "numbering of the OSM classes, or Dynamic World numbered from 1?"
        )
