"""Asks the archive which scenes there are: metadata only, many places in one request.

The graph maps one function over a table of places, so its size hardly depends on how many there
are; a batch that is too much for one request is halved until it fits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import ee

from pipeline.candidates import OpticalScene, RadarScene, SeasonCandidates
from pipeline.earthengine.batches import ask_about
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import EarthEngineFault, Garbled
from pipeline.grid import PatchGrid
from pipeline.locations.location import Location
from pipeline.locations.seasons import Window, search_window
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings

S2_COLLECTION = "COPERNICUS/S2_HARMONIZED"
"""Level-1C with the offset of processing baseline 04.00 taken off again."""

S1_COLLECTION = "COPERNICUS/S1_GRD"
DW_COLLECTION = "GOOGLE/DYNAMICWORLD/V1"

CANDIDATES_PER_SEASON = 8
"""Newest scenes told per sensor; enough to find a Dynamic World twin, which one in five lacks."""

_INDEX, _TIME = "system:index", "system:time_start"
_CLOUD, _TILE, _BASELINE = "CLOUDY_PIXEL_PERCENTAGE", "MGRS_TILE", "PROCESSING_BASELINE"
_DESCRIBING = "baselines", "passes", "orbits"
_PASS, _ORBIT = "orbitProperties_pass", "relativeOrbitNumber_start"

Answer = tuple[Location, list[SeasonCandidates] | EarthEngineFault]


def select_candidates(
    client: Client, locations: Iterable[Location], settings: Settings
) -> Iterator[Answer]:
    """Ask for the scenes of many places, batch by batch on all slots.

    Args:
        client: A session on the standard endpoint.
        locations: The places.
        settings: Window, cloud limit and size of a batch.

    Returns:
        In the order the answers come: a place and its candidates, one per season; or the fault
        that kept us from finding out (any but `Missing` and `AccessDenied`).

    Raises:
        Fatal: Access is denied, or a collection is gone; nothing more would be answered.
    """
    question = partial(_question, settings=settings)
    return ask_about(client, locations, settings.earthengine.selection_batch, question)


def _question(
    places: Sequence[Location], settings: Settings
) -> tuple[ee.FeatureCollection, Callable[[Any], list[list[SeasonCandidates]]]]:
    """The query about some places, and what reads its answer."""
    windows = {
        place.location_id: [
            search_window(date, settings.seasons.half_window_days) for date in place.dates
        ]
        for place in places
    }

    def read(answer: Any) -> list[list[SeasonCandidates]]:
        by_id = features_by_id(answer)
        return [
            _read_seasons(by_id, place.location_id, windows[place.location_id]) for place in places
        ]

    return _query(places, windows, settings.selection.cloud_cover_max), read


def _query(
    places: Sequence[Location], windows: dict[str, list[Window]], cloud_cover_max: float
) -> ee.FeatureCollection:
    """One feature per place, holding what `_season_query` says of each of its seasons."""
    table = ee.FeatureCollection(
        [_place_feature(place, windows[place.location_id]) for place in places]
    )

    def describe(feature: ee.Feature) -> ee.Feature:
        answers: dict[str, Any] = {"id": feature.get("id")}
        for season in range(SEASONS):
            window = ee.List(feature.get(f"window_{season}"))
            start, end = ee.Date(window.get(0)), ee.Date(window.get(1))
            answers[f"season_{season}"] = _season_query(
                feature.geometry(), start, end, cloud_cover_max
            )
        return ee.Feature(None, answers)

    return table.map(describe)


def _place_feature(place: Location, windows: list[Window]) -> ee.Feature:
    dates = {
        f"window_{season}": [start.isoformat(), end.isoformat()]
        for season, (start, end) in enumerate(windows)
    }
    return ee.Feature(rectangle(place.grid), {"id": place.location_id, **dates})


def rectangle(grid: PatchGrid) -> ee.Geometry:
    """The outline of a grid in its own CRS."""
    return ee.Geometry.Rectangle(list(grid.bounds), proj=grid.crs, geodesic=False, evenOdd=False)


def _season_query(
    patch: ee.Geometry, start: ee.Date, end: ee.Date, cloud_cover_max: float
) -> ee.Dictionary:
    """The newest fit scenes of both sensors, and the counts that tell why there may be none."""

    def near(collection: str) -> ee.ImageCollection:
        return ee.ImageCollection(collection).filterBounds(patch).filterDate(start, end)

    holds_patch = ee.Filter.contains(leftField=".geo", rightValue=patch)
    polarisations = "transmitterReceiverPolarisation"
    optical = near(S2_COLLECTION).filter(holds_patch)
    clear = optical.filter(ee.Filter.lt(_CLOUD, cloud_cover_max))
    radar = (
        near(S1_COLLECTION)
        .filter(ee.Filter.eq("instrumentMode", "IW"))
        .filter(ee.Filter.listContains(polarisations, "VV"))
        .filter(ee.Filter.listContains(polarisations, "VH"))
        .filter(holds_patch)
    )
    return ee.Dictionary(
        {
            "optical_count": optical.size(),
            "clear_count": clear.size(),
            "optical": _newest(clear, _TIME, _CLOUD, _TILE),
            "baselines": _newest(clear, _BASELINE),
            "radar_count": radar.size(),
            "radar": _newest(radar, _TIME),
            "passes": _newest(radar, _PASS),
            "orbits": _newest(radar, _ORBIT),
            "labels": near(DW_COLLECTION).aggregate_array(_INDEX),
        }
    )


def _newest(scenes: ee.ImageCollection, *properties: str) -> ee.ComputedObject:
    """Rows of index and properties, newest first; a scene that lacks one of them has no row.

    What only describes a scene is therefore asked for in rows of its own. Every row begins with
    the index: several `aggregate_array` would drop nulls and fall out of step.
    """
    columns = [_INDEX, *properties]
    newest = scenes.limit(CANDIDATES_PER_SEASON, _TIME, False)
    return newest.reduceColumns(ee.Reducer.toList(len(columns)), columns).get("list")


def features_by_id(answer: Any) -> dict[str, dict[str, Any]]:
    """Properties of each feature of an answer by its property ``id``.

    Raises:
        Garbled: It is no table of features.
    """
    try:
        return {row["properties"]["id"]: row["properties"] for row in answer["features"]}
    except (KeyError, TypeError) as error:
        raise Garbled(f"garbled selection answer: {error!r}") from error


def _read_seasons(
    by_id: dict[str, dict[str, Any]], location_id: str, windows: list[Window]
) -> list[SeasonCandidates]:
    try:
        answers = by_id[location_id]
        return [
            read_season(answers[f"season_{season}"], window)
            for season, window in enumerate(windows)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled(f"garbled selection answer for {location_id}: {error!r}") from error


def read_season(answer: dict[str, Any], window: Window) -> SeasonCandidates:
    """What the archive says of one season.

    Raises:
        KeyError, TypeError, ValueError: The answer is not what was asked for, or has a scene whose
            metadata are missing.
    """
    # A list may be null where there is nothing to list; the counts below tell it from a lost one.
    rows = {key: answer[key] or [] for key in ("optical", "radar", *_DESCRIBING)}
    baselines, passes, orbits = (dict(rows[key]) for key in _DESCRIBING)
    optical = tuple(
        OpticalScene(str(index), int(time), float(cloud), str(tile), str(baselines.get(index, "")))
        for index, time, cloud, tile in rows["optical"]
    )
    radar = tuple(
        RadarScene(str(index), int(time), str(passes.get(index, "")), int(orbits.get(index, 0)))
        for index, time in rows["radar"]
    )
    for scenes, count in ((optical, answer["clear_count"]), (radar, answer["radar_count"])):
        # A scene without time, cloud cover or tile has no row: not the same as no scene.
        if len(scenes) != min(int(count), CANDIDATES_PER_SEASON):
            raise ValueError(f"{count} scenes, but metadata of {len(scenes)}")
    labels = frozenset(str(index) for index in answer["labels"])
    return SeasonCandidates(*window, int(answer["optical_count"]), optical, radar, labels)
