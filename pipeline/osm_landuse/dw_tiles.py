"""The tiles of a finished ``dw.zarr``, as the steps of OSMLanduse see them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.osm_landuse.assess import DwTile
from pipeline.store.reader import open_store

_log = logging.getLogger(__name__)

_SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")


@dataclass(frozen=True)
class ImagedTile:
    """A tile of ``dw.zarr`` that has imagery.

    Attributes:
        tile_id: Its name.
        published_split: Group of the store that holds it.
        sample: Index in the group.
        grid: Its pixels.
    """

    tile_id: str
    published_split: Literal["train", "test"]
    sample: int
    grid: PatchGrid


def imaged_tiles(store: Path) -> list[ImagedTile]:
    """The valid tiles of both groups that a web-mercator picture can show, training first.

    At the antimeridian the projection ends; a tile across it is named in the log and left out.

    Raises:
        PipelineError: There is no such store.
    """
    shown = []
    for split in _SPLITS:
        for tile in _valid_tiles(open_store(store, split), split):
            if tile.grid.footprint.geom_type == "Polygon":
                shown.append(tile)
            else:
                _log.warning("%s lies across the antimeridian; left out", tile.tile_id)
    return shown


def read_dw_tile(dataset: xr.Dataset, tile: ImagedTile) -> DwTile:
    """A tile with its Dynamic World label, from its group's dataset."""
    label: NDArray[np.uint8] = dataset["label"][tile.sample].to_numpy()
    return DwTile(tile.tile_id, tile.published_split, tile.grid, label)


def _valid_tiles(dataset: xr.Dataset, split: Literal["train", "test"]) -> Iterator[ImagedTile]:
    names = ("id", "epsg", "left", "top")
    ids, zones, lefts, tops = (dataset[name].to_numpy() for name in names)
    for sample in np.flatnonzero(dataset["valid"].to_numpy()):
        corner = float(lefts[sample]), float(tops[sample])
        grid = PatchGrid(int(zones[sample]), *corner, dataset.sizes["y"], dataset.sizes["x"])
        yield ImagedTile(str(ids[sample]), split, int(sample), grid)
