"""Asks the archive which scenes touch expert tiles: metadata only, many tiles in one request."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import ee

from pipeline.candidates import OpticalScene, RadarScene
from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.pairing import TileCandidates
from pipeline.earthengine.batches import ask_about
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import EarthEngineFault, Garbled
from pipeline.earthengine.queries import (
    S1_COLLECTION,
    S2_COLLECTION,
    features_by_id,
    rectangle,
)
from pipeline.locations.seasons import search_window
from pipeline.settings.dynamic_world import DynamicWorldSettings

_INDEX, _TIME = "system:index", "system:time_start"
_CLOUD, _TILE, _BASELINE = "CLOUDY_PIXEL_PERCENTAGE", "MGRS_TILE", "PROCESSING_BASELINE"
_PASS, _ORBIT = "orbitProperties_pass", "relativeOrbitNumber_start"
_CRS = "noldo_crs"
"""Property that the query gives to Sentinel-1 scenes, whose metadata do not tell their CRS."""

_LISTS = (
    "optical",
    "baselines",
    "radar",
    "passes",
    "orbits",
    "covering_optical",
    "covering_radar",
)
"""What the query tells as lists; the rest are counts."""

_MOST_SCENES = 400
"""Scenes told per sensor. About 40 pass over a place within 30 days at high latitudes, each counts
up to four times where Sentinel-2 tiles overlap, and `window_days` allows 90 days."""


def ask_candidates(
    client: Client, tiles: Iterable[ExpertTile], settings: DynamicWorldSettings
) -> Iterator[tuple[ExpertTile, TileCandidates | EarthEngineFault]]:
    """Ask for the scenes of many tiles, batch by batch on all slots.

    Args:
        client: A session on the standard endpoint.
        tiles: The tiles.
        settings: Window, cloud limit and size of a batch.

    Returns:
        In the order the answers come: a tile and its candidates, or the fault that kept us from
        finding out.

    Raises:
        Fatal: Access is denied, or a collection is gone; nothing more would be answered.
    """
    question = partial(_question, settings=settings)
    return ask_about(client, tiles, settings.selection_batch, question)


def _question(
    tiles: Sequence[ExpertTile], settings: DynamicWorldSettings
) -> tuple[ee.FeatureCollection, Callable[[Any], list[TileCandidates]]]:
    windows = {tile.tile_id: search_window(tile.date, settings.window_days) for tile in tiles}
    table = ee.FeatureCollection(
        [
            ee.Feature(
                rectangle(tile.grid),
                {
                    "id": tile.tile_id,
                    "window": [day.isoformat() for day in windows[tile.tile_id]],
                },
            )
            for tile in tiles
        ]
    )

    def describe(feature: ee.Feature) -> ee.Feature:
        window = ee.List(feature.get("window"))
        start, end = ee.Date(window.get(0)), ee.Date(window.get(1))
        scenes = _scenes_query(feature.geometry(), start, end, settings.cloud_cover_max)
        return ee.Feature(None, {"id": feature.get("id"), "scenes": scenes})

    def read(answer: Any) -> list[TileCandidates]:
        by_id = features_by_id(answer)
        return [_read_tile(by_id, tile.tile_id, windows[tile.tile_id]) for tile in tiles]

    return table.map(describe), read


def _scenes_query(
    outline: ee.Geometry, start: ee.Date, end: ee.Date, cloud_cover_max: float
) -> ee.Dictionary:
    """The scenes of both sensors that touch a tile, and which of them hold it whole."""

    def near(collection: str) -> ee.ImageCollection:
        return ee.ImageCollection(collection).filterBounds(outline).filterDate(start, end)

    optical = near(S2_COLLECTION)
    clear = optical.filter(ee.Filter.lt(_CLOUD, cloud_cover_max))
    polarisations = "transmitterReceiverPolarisation"
    radar = (
        near(S1_COLLECTION)
        .filter(ee.Filter.eq("instrumentMode", "IW"))
        .filter(ee.Filter.listContains(polarisations, "VV"))
        .filter(ee.Filter.listContains(polarisations, "VH"))
    )
    holds_tile = ee.Filter.contains(leftField=".geo", rightValue=outline)
    return ee.Dictionary(
        {
            "optical_count": optical.size(),
            "clear_count": clear.size(),
            "optical": _rows(clear, _TIME, _CLOUD, _TILE),
            "baselines": _rows(clear, _BASELINE),
            "radar_count": radar.size(),
            "radar": _rows(radar.map(_with_crs), _TIME, _CRS),
            "passes": _rows(radar, _PASS),
            "orbits": _rows(radar, _ORBIT),
            "covering_optical": clear.filter(holds_tile).aggregate_array(_INDEX),
            "covering_radar": radar.filter(holds_tile).aggregate_array(_INDEX),
        }
    )


def _with_crs(scene: ee.Image) -> ee.Image:
    return ee.Image(scene.set(_CRS, scene.select("VV").projection().crs()))


def _rows(scenes: ee.ImageCollection, *properties: str) -> ee.ComputedObject:
    """Rows of index and properties; a scene that lacks one of them has no row.

    What only describes a scene is therefore asked for in rows of its own.
    """
    columns = [_INDEX, *properties]
    told = scenes.limit(_MOST_SCENES, _INDEX)
    return told.reduceColumns(ee.Reducer.toList(len(columns)), columns).get("list")


def _read_tile(
    by_id: dict[str, dict[str, Any]], tile_id: str, window: tuple[dt.date, dt.date]
) -> TileCandidates:
    try:
        return read_scenes(by_id[tile_id]["scenes"], window)
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled(f"garbled selection answer for {tile_id}: {error!r}") from error


def read_scenes(answer: dict[str, Any], window: tuple[dt.date, dt.date]) -> TileCandidates:
    """What the archive says of one tile.

    Raises:
        KeyError, TypeError, ValueError: The answer is not what was asked for, or has a scene whose
            metadata are missing.
    """
    # A list may be null where there is nothing to list; the counts below tell it from a lost one.
    told = {key: answer[key] or [] for key in _LISTS}
    baselines, passes, orbits = (dict(told[key]) for key in ("baselines", "passes", "orbits"))
    optical = tuple(
        OpticalScene(str(index), int(time), float(cloud), str(tile), str(baselines.get(index, "")))
        for index, time, cloud, tile in told["optical"]
    )
    radar = tuple(
        RadarScene(str(index), int(time), str(passes.get(index, "")), int(orbits.get(index, 0)))
        for index, time, _ in told["radar"]
    )
    for rows, count in ((optical, answer["clear_count"]), (radar, answer["radar_count"])):
        # A scene without time, cloud cover, tile or CRS has no row: not the same as no scene.
        if len(rows) != min(int(count), _MOST_SCENES):
            raise ValueError(f"{count} scenes, but metadata of {len(rows)}")
    return TileCandidates(
        *window,
        optical_count=int(answer["optical_count"]),
        optical=optical,
        radar=radar,
        radar_epsg={str(index): _epsg(crs) for index, _, crs in told["radar"]},
        covering=frozenset(map(str, [*told["covering_optical"], *told["covering_radar"]])),
    )


def _epsg(crs: str) -> int:
    authority, _, code = str(crs).partition(":")
    return int(code) if authority == "EPSG" else 0
