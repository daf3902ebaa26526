"""The published places of SSL4EO-S12 v1.1, taken through locations and selection."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ee
import pandas as pd

from pipeline.earthengine.client import Client
from pipeline.earthengine.queries import select_candidates
from pipeline.earthengine.session import earth_engine
from pipeline.ledger import SeasonRecord
from pipeline.locations.location import Location
from pipeline.locations.sampling import draw_locations
from pipeline.selection import choose_scenes
from pipeline.settings.tree import validate_settings

ROOT = Path(__file__).parents[2]
METADATA = (
    ROOT
    / os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real")
    / "ssl4eo_v11_val_metadata.parquet"
)
PLACES = 2176
SUMMER = "2020-06-01", "2020-08-01"
"""A dozen rounds of both satellites: single passes may be missing, as they are in the archive."""

_BATCH = 100


@dataclass(frozen=True)
class Comparison:
    """One place as published and as we have it.

    Attributes:
        location: Ours.
        zones: EPSG codes of the four published scenes.
        tiles: MGRS tiles of the four published scenes.
        archive_tiles: Tiles of all scenes of the archive that lie over the patch's centre.
        seasons: What the selection chose.
    """

    location: Location
    zones: frozenset[int]
    tiles: tuple[str, ...]
    archive_tiles: frozenset[str]
    seasons: list[SeasonRecord]

    @property
    def chosen_tiles(self) -> list[tuple[str, str]]:
        """Tile chosen and tile published, for each season with a Sentinel-2 scene."""
        pairs = zip(self.seasons, self.tiles, strict=True)
        return [(row.mgrs_tile, tile) for row, tile in pairs if row.mgrs_tile]


def compare(url: str, folder: Path, every: int) -> list[Comparison]:
    """Choose scenes for every so many-th published place at a simulated Earth Engine."""
    settings = validate_settings(
        {
            "results": str(folder),
            "locations": {"sampler": "ssl4eo", "table": str(METADATA), "count": None},
            "earthengine": {"service": url},
        }
    )
    locations = list(draw_locations(settings))[::every]
    published = pd.read_parquet(METADATA).groupby("sample_id")[["tile_crs", "tile_id"]].agg(tuple)
    with earth_engine(settings, "standard", 4) as client:
        archive_tiles = _tiles_over_centres(locations)
        seasons = dict(_choices(client, locations, settings))
    return [
        Comparison(
            location=place,
            zones=frozenset(published.tile_crs[place.location_id]),
            tiles=tuple(tile.removeprefix("T") for tile in published.tile_id[place.location_id]),
            archive_tiles=archive_tiles[place.location_id],
            seasons=seasons[place.location_id],
        )
        for place in locations
    ]


def _choices(
    client: Client, locations: Sequence[Location], settings
) -> Iterable[tuple[str, list[SeasonRecord]]]:
    for place, candidates in select_candidates(client, locations, settings):
        yield place.location_id, choose_scenes(place, candidates, settings.selection.rule)


def _tiles_over_centres(locations: Sequence[Location]) -> dict[str, frozenset[str]]:
    tiles = {}
    for first in range(0, len(locations), _BATCH):
        places = ee.FeatureCollection(
            [
                ee.Feature(ee.Geometry.Point(place.grid.centre_lonlat), {"id": place.location_id})
                for place in locations[first : first + _BATCH]
            ]
        )
        answer = ee.data.computeValue(places.map(_with_tiles))
        for row in answer["features"]:
            tiles[row["properties"]["id"]] = frozenset(row["properties"]["tiles"])
    return tiles


def _with_tiles(feature):
    scenes = ee.ImageCollection("COPERNICUS/S2_HARMONIZED").filterBounds(feature.geometry())
    tiles = scenes.filterDate(*SUMMER).aggregate_array("MGRS_TILE")
    return ee.Feature(None, {"id": feature.get("id"), "tiles": tiles})
