"""Which kept tiles test and which train, as in the paper.

Test are the Dynamic World test tiles that survived the filter, and as many of its training tiles as
reach 400; the rest trains. The added tiles are drawn so that every class is present in its share:
by iterative stratification, rarest class first. Each tile has a rank of its own, which its id and
the seed decide, and within a class the first ranks are drawn: a tile that is vetoed or added moves
a few others at most, so that a test set that was reviewed stays the reviewed one.

Source: CromSS paper, section on NoLDO-S12 (size and origin of the test set); Sechidis et al. 2011,
doi:10.1007/978-3-642-23808-6_10 (iterative stratification). The released draw itself is not known.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

_PRESENT_SHARE = 0.01
"""A class is present in a tile if it covers this share of the labelled pixels."""

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class KeptTile:
    """A tile that passed the filter.

    Attributes:
        tile_id: The tile.
        published_split: Split of its Dynamic World label, ``train`` or ``test``.
        class_pixels: Labelled pixels of each OSM class, (classes,) int64.
    """

    tile_id: str
    published_split: Split
    class_pixels: NDArray[np.int64]


def assign_splits(tiles: Sequence[KeptTile], test_tiles: int, seed: int) -> dict[str, Split]:
    """The split of each tile; independent of their order.

    Args:
        tiles: All kept tiles.
        test_tiles: Size of the test split; exceeded only by the surviving published test tiles.
        seed: Of the draw.

    Raises:
        PipelineError: No tile would be left for training.
    """
    if not tiles:
        return {}
    ordered = sorted(tiles, key=lambda tile: tile.tile_id)
    published = [tile for tile in ordered if tile.published_split == "test"]
    candidates = [tile for tile in ordered if tile.published_split == "train"]
    wanted = max(0, test_tiles - len(published))
    if wanted and wanted >= len(candidates):
        raise PipelineError(
            f"{test_tiles} test tiles (osm_landuse.test_tiles) of {len(tiles)} kept ones leave "
            "none for training; lower it or build more tiles"
        )
    ranked = sorted(candidates, key=lambda tile: _rank(tile.tile_id, seed))
    moved = _stratified_draw(ranked, wanted)
    testing = {tile.tile_id for tile in [*published, *moved]}
    return {tile.tile_id: "test" if tile.tile_id in testing else "train" for tile in ordered}


def _rank(tile_id: str, seed: int) -> bytes:
    """Where a tile stands in the draw, whatever other tiles there are."""
    return hashlib.sha256(f"{seed} {tile_id}".encode()).digest()


def _stratified_draw(candidates: Sequence[KeptTile], wanted: int) -> list[KeptTile]:
    """Draw so many tiles that each class is present in the drawn ones in its share.

    Args:
        candidates: In the order of their ranks.
        wanted: How many.
    """
    if not wanted:
        return []
    present = np.array([_present(tile) for tile in candidates])
    needed = present.sum(axis=0) * (wanted / len(candidates))
    undecided = np.ones(len(candidates), bool)
    drawn: list[int] = []
    for rare in np.argsort(present.sum(axis=0), kind="stable"):
        pool = np.flatnonzero(undecided & present[:, rare])
        missing = needed[rare] - present[drawn, rare].sum()
        count = min(len(pool), max(0, round(missing)), wanted - len(drawn))
        drawn += [int(index) for index in pool[:count]]
        undecided[pool] = False
    rest = np.setdiff1d(np.arange(len(candidates)), drawn)
    drawn += [int(index) for index in rest[: wanted - len(drawn)]]
    return [candidates[index] for index in drawn]


def _present(tile: KeptTile) -> NDArray[np.bool_]:
    labelled = max(1, int(tile.class_pixels.sum()))
    present: NDArray[np.bool_] = tile.class_pixels >= max(1.0, _PRESENT_SHARE * labelled)
    return present
