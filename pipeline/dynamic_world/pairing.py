"""Which Sentinel-2 and Sentinel-1 scene belongs to an expert tile: two rules, without any I/O.

Rule ``released`` restates the script with which the released dataset was made. Sentinel-2: of the
scenes with less than 20 % cloud that touch the tile within 15 days from its date on, in the order
of the collection, the first in the tile's CRS; if there is none, or it has masked pixels in the
tile, the same within the 15 days before. Sentinel-1: the newest from the moment of that scene until
15 days after the tile's date; if there is none, or it has masked pixels, the first in the tile's
CRS from 15 days before the date until that moment, else the first of all.

Rule ``covering`` looks for the same in the same order, but passes over scenes with masked pixels
instead of giving the window up. It begins with the scenes whose footprints hold the whole tile and
goes on with the others only if none of those will do, as footprints are not exact to the pixel.

Which scenes have masked pixels shows when they are fetched: the choice is then made again.

Source: zhu-xlab/CromSS, data_prepare/data_check_SSL4EO/get_dw_data/,
get_sentinel12_ee_accord_xlsx_parallel_30d_bbox_test.py.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.candidates import OpticalScene, RadarScene
from pipeline.grid import mgrs_epsg
from pipeline.ledger import Reason

Rule = Literal["released", "covering"]
Scene = TypeVar("Scene", bound=OpticalScene | RadarScene)

FEWEST_S2_VALUES = 13 * 9
"""Tiles with fewer different values in all 13 bands are rejected. Source: the script above."""

FEWEST_S1_VALUES = 2 * 9
"""The same of both polarisations."""


@dataclass(frozen=True)
class TileCandidates:
    """The scenes that touch a tile within the days before and after its date.

    Attributes:
        window_start: First day searched, UTC.
        window_end: Day after the last one searched, UTC (half-open).
        optical_count: Sentinel-2 scenes, whatever their cloud cover.
        optical: Sentinel-2 scenes below the cloud limit.
        radar: Dual-polarised IW Sentinel-1 scenes.
        radar_epsg: CRS of each Sentinel-1 scene, by index.
        covering: Indices of the scenes whose footprint holds the whole tile.
    """

    window_start: dt.date
    window_end: dt.date
    optical_count: int
    optical: tuple[OpticalScene, ...]
    radar: tuple[RadarScene, ...]
    radar_epsg: dict[str, int] = field(default_factory=dict)
    covering: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pair:
    """The scenes chosen for a tile.

    Attributes:
        optical: Sentinel-2.
        radar: Sentinel-1.
    """

    optical: OpticalScene
    radar: RadarScene


def choose_pair(
    date: dt.date,
    epsg: int,
    found: TileCandidates,
    rule: Rule,
    masked: frozenset[str] = frozenset(),
) -> Pair | Reason:
    """Choose the scenes of one tile.

    Args:
        date: Of the label.
        epsg: CRS of the tile.
        found: What the archive has.
        rule: See the module.
        masked: Indices of scenes that turned out to have masked pixels in the tile.

    Returns:
        The pair, or why there is none: `Reason.NO_S2`, `CLOUD`, `OTHER_CRS`, `NO_S1`, or `NODATA`
        if only scenes with masked pixels would fit.
    """
    optical = _choose_optical(date, epsg, found, rule, masked)
    if isinstance(optical, Reason):
        return optical
    radar = _choose_radar(epsg, found, rule, masked, optical.time)
    return radar if isinstance(radar, Reason) else Pair(optical, radar)


def flat_sensor(s2: NDArray[Any], s1: NDArray[Any]) -> Reason:
    """Which sensor has hardly any different values, as an image of nothing but cloud or sea has.

    Args:
        s2: (bands, y, x), all Sentinel-2 bands together, as resampled.
        s1: (bands, y, x), both polarisations together.

    Returns:
        `Reason.FLAT_S2`, `Reason.FLAT_S1` or `Reason.NONE`.
    """
    if len(np.unique(s2)) < FEWEST_S2_VALUES:
        return Reason.FLAT_S2
    return Reason.FLAT_S1 if len(np.unique(s1)) < FEWEST_S1_VALUES else Reason.NONE


def _choose_optical(
    date: dt.date, epsg: int, found: TileCandidates, rule: Rule, masked: frozenset[str]
) -> OpticalScene | Reason:
    in_order = sorted(found.optical, key=lambda scene: scene.index)
    fitting = [scene for scene in in_order if mgrs_epsg(scene.mgrs_tile) == epsg]
    middle = _midnight(date)
    after = [scene for scene in fitting if scene.time >= middle]
    before = [scene for scene in fitting if scene.time < middle]
    chosen = _first_whole(after, before, found.covering, rule, masked)
    if chosen is not None:
        return chosen
    if not found.optical_count:
        return Reason.NO_S2
    if not found.optical:
        return Reason.CLOUD
    return Reason.NODATA if fitting else Reason.OTHER_CRS


def _choose_radar(
    epsg: int, found: TileCandidates, rule: Rule, masked: frozenset[str], moment: int
) -> RadarScene | Reason:
    after = [scene for scene in found.radar if scene.time >= moment]
    newest_first = sorted(after, key=lambda scene: (-scene.time, scene.index))
    before = sorted(
        (scene for scene in found.radar if scene.time < moment),
        key=lambda scene: (found.radar_epsg.get(scene.index) != epsg, scene.index),
    )
    chosen = _first_whole(newest_first, before, found.covering, rule, masked)
    if chosen is not None:
        return chosen
    return Reason.NODATA if found.radar else Reason.NO_S1


def _first_whole(
    after: Sequence[Scene],
    before: Sequence[Scene],
    covering: frozenset[str],
    rule: Rule,
    masked: frozenset[str],
) -> Scene | None:
    """The first scene without masked pixels, of the first window, else of the other one.

    By the released rule only the very first of a window is looked at.
    """
    if rule == "released":
        in_turn: list[Scene] = [*after[:1], *before[:1]]
    else:
        either: list[Scene] = [*after, *before]
        in_turn = sorted(either, key=lambda scene: scene.index not in covering)
    return next((scene for scene in in_turn if scene.index not in masked), None)


def _midnight(date: dt.date) -> int:
    moment = dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC)
    return round(moment.timestamp() * 1000)
