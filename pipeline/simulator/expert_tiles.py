"""Expert tiles of the simulated Earth: ``python -m pipeline.simulator.expert_tiles``.

Writes folders of the published form: ``train/<hemisphere>/<biome>/dw_<lon>_<lat>-<date>.tif`` of
510 pixels and ``test/dw_release_labels/label_dw_....tif`` of 512 pixels with ``test/meta.csv``. The
experts mark the truth, leave out what lies along boundaries and what they are unsure of, and mark
clouds as such.
"""

import argparse
import csv
import datetime as dt
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from scipy import ndimage

from pipeline.atomic_file import write_atomically
from pipeline.dynamic_world.expert_tile import codes_from_label
from pipeline.errors import PipelineError, run_step
from pipeline.grid import PatchGrid, crs_transformer, utm_epsg
from pipeline.legend import UNLABELLED
from pipeline.simulator.noise import value_noise
from pipeline.simulator.world import truth

EARLIEST, LATEST = dt.date(2018, 1, 15), dt.date(2021, 10, 31)
"""Both Sentinel-1 satellites fly; the experts' own tiles are of 2017 to 2019."""

_UNSURE_M, _CLOUD_M = 900.0, 1500.0
"""Size of the areas that are left out, and of clouds."""

_UNSURE_SHARE, _CLOUD_SHARE = 0.2, 0.04
_PIXEL_M = 10.0
_TRIES = 200
_BIOMES = ("4", "5", "10")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DrawnTile:
    """Where and when an expert tile is drawn.

    Attributes:
        name: ``dw_<lon>_<lat>-<YYYYMMDD>``.
        date: Of the label.
        grid: Its pixels, on the 10 m lattice, of any origin on it.
    """

    name: str
    date: dt.date
    grid: PatchGrid


def draw_places(
    area: tuple[float, float, float, float], sizes: Sequence[int], seed: int
) -> list[DrawnTile]:
    """Choose places and dates; no two tiles overlap.

    Args:
        area: West, south, east, north, degrees.
        sizes: Rows and columns of each tile.
        seed: Of the draw.

    Raises:
        PipelineError: The area is too small for so many tiles.
    """
    random = np.random.default_rng([seed, 510])
    tiles: list[DrawnTile] = []
    for size in sizes:
        for _ in range(_TRIES):
            tile = _draw(area, size, random)
            if not any(tile.grid.footprint.intersects(other.grid.footprint) for other in tiles):
                tiles.append(tile)
                break
        else:
            raise PipelineError(
                f"{len(sizes)} tiles of {max(sizes)} pixels do not fit into "
                f"dynamic_world.simulated_area = {area}; enlarge it or ask for fewer"
            )
    return tiles


def expert_codes(tile: DrawnTile, world_seed: int) -> NDArray[np.uint8]:
    """The codes that the experts give: 0 unmarked, 1 to 9 classes, 10 cloud; (y, x) uint8.

    Args:
        tile: Where and when.
        world_seed: Of the simulated Earth.
    """
    label = truth(tile.grid, tile.date, world_seed)
    day = tile.date.toordinal()
    unsure = _highest_share(tile.grid, _UNSURE_M, day, _UNSURE_SHARE)
    cloud = _highest_share(tile.grid, _CLOUD_M, day ^ 0xC10D, _CLOUD_SHARE)
    return codes_from_label(np.where(unsure | _boundaries(label), UNLABELLED, label), cloud)


def write_expert_tiles(
    folder: Path, train: Sequence[DrawnTile], test: Sequence[DrawnTile], world_seed: int
) -> None:
    """Write both splits in the published form."""
    for number, tile in enumerate(train):
        hemisphere = "EH" if tile.grid.centre_lonlat[0] >= 0 else "WH"
        place = Path(hemisphere, _BIOMES[number % len(_BIOMES)])
        _write_tile(folder / "train" / place / f"{tile.name}.tif", tile, world_seed)
    for tile in test:
        path = folder / "test" / "dw_release_labels" / f"label_{tile.name}.tif"
        _write_tile(path, tile, world_seed)
    _write_metadata(folder / "test" / "meta.csv", test)


def _draw(
    area: tuple[float, float, float, float], size: int, random: np.random.Generator
) -> DrawnTile:
    west, south, east, north = area
    lon, lat = random.uniform(west, east), random.uniform(south, north)
    date = EARLIEST + dt.timedelta(days=int(random.integers((LATEST - EARLIEST).days)))
    epsg = utm_epsg(lon, lat)
    easting, northing = crs_transformer(4326, epsg).transform(lon, lat)
    left, top = (
        round((centre + sign * size * _PIXEL_M / 2) / _PIXEL_M) * _PIXEL_M
        for centre, sign in ((easting, -1), (northing, 1))
    )
    name = f"dw_{lon:.10f}_{lat:.10f}-{date:%Y%m%d}"
    return DrawnTile(name, date, PatchGrid(epsg, left, top, size, size, _PIXEL_M))


def _boundaries(label: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with another class beside them, which experts leave out."""
    edges: NDArray[np.bool_] = ndimage.maximum_filter(label, 3) != ndimage.minimum_filter(label, 3)
    return edges


def _highest_share(grid: PatchGrid, spacing_m: float, salt: int, share: float) -> NDArray[np.bool_]:
    """Blobs that cover a share of the grid, fixed in the zone."""
    x, y = np.meshgrid(*grid.pixel_centres())
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    field = value_noise(points, np.array([spacing_m]), np.array([salt], np.uint64))[0]
    return np.asarray(field > np.quantile(field, 1.0 - share)).reshape(grid.shape)


def _write_tile(path: Path, tile: DrawnTile, world_seed: int) -> None:
    codes = expert_codes(tile, world_seed)
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            height=tile.grid.height,
            width=tile.grid.width,
            count=1,
            dtype="uint8",
            crs=tile.grid.crs,
            transform=tile.grid.transform,
            compress="deflate",
        ) as file:
            file.write(codes, 1)
        write_atomically(path, memory.read())


def _write_metadata(path: Path, test: Sequence[DrawnTile]) -> None:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["filename", "s2_system_index"])
    for tile in test:
        moment = f"{tile.date:%Y%m%d}T101021"
        rows.writerow([tile.name, f"{moment}_{moment}_T00AAA"])
    write_atomically(path, text.getvalue().encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Write simulated expert tiles from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.simulator.expert_tiles")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--train", type=int, required=True, help="training tiles")
    parser.add_argument("--test", type=int, required=True, help="test tiles")
    parser.add_argument("--train-pixels", type=int, default=510, help="size of a training tile")
    parser.add_argument("--test-pixels", type=int, default=512, help="size of a test tile")
    parser.add_argument("--seed", type=int, required=True, help="seed of the draw")
    parser.add_argument("--world-seed", type=int, default=7, help="seed of the simulated Earth")
    parser.add_argument(
        "--area",
        type=float,
        nargs=4,
        default=(11.2, 47.2, 12.8, 48.6),
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="where, degrees",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sizes = [options.train_pixels] * options.train + [options.test_pixels] * options.test
    tiles = draw_places(tuple(options.area), sizes, options.seed)
    train, test = tiles[: options.train], tiles[options.train :]
    write_expert_tiles(options.output, train, test, options.world_seed)
    _log.info("%d training and %d test tiles of the simulated Earth", len(train), len(test))


if __name__ == "__main__":
    run_step(main)
