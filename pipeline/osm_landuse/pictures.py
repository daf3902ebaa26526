"""Fetches the land-use pictures of all tiles: ``python -m pipeline.osm_landuse.pictures``.

Asked about are the tiles of ``dw.zarr`` with imagery. A tile that was fetched is not asked for
again, so that the same command goes on where another one stopped.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.osm_landuse.campaign import TilePlace, fetch_tiles
from pipeline.osm_landuse.dw_tiles import imaged_tiles
from pipeline.settings.tree import Settings, load_settings


def rate_file(settings: Settings) -> Path | None:
    """What all builds of one folder of results share who ask the same server; None if simulated."""
    server = urlsplit(settings.osm_landuse.service).hostname
    return settings.results / f".rate-{server}" if server else None


def refuse_simulated_land_use(settings: Settings) -> None:
    """Refuse made-up land use on real imagery.

    Raises:
        PipelineError: The imagery is real, the land use is not.
    """
    if not settings.simulated and settings.osm_landuse.service == "simulated":
        raise PipelineError(
            "osm_landuse.service = simulated does not go with earthengine.service = google; name "
            "the URL of a WMS, such as https://maps.heigit.org/osmlanduse/service"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch the pictures from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.osm_landuse.pictures")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--dw-store", type=Path, required=True, help="finished dw.zarr")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the pictures")
    parser.add_argument(
        "--record", type=Path, required=True, help="where to note that all is there"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = load_settings(options.settings)
    refuse_simulated_land_use(settings)
    tiles = [TilePlace(tile.tile_id, tile.grid) for tile in imaged_tiles(options.dw_store)]
    fetch_tiles(
        tiles,
        options.folder,
        settings.osm_landuse,
        settings.simulator.seed,
        rate_file(settings),
    )
    names = "".join(f"{tile.tile_id}\n" for tile in tiles)
    write_atomically(options.record, names.encode())


if __name__ == "__main__":
    run_step(main)
