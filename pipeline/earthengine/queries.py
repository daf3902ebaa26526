"""Asks the archive which scenes there are: metadata only, many places in one request.

The graph maps one function over a table of places, so its size hardly depends on how many there
are; a batch that is too much for one request is halved until it fits.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import ee

from pipeline.candidates import OpticalScene, RadarScene, SeasonCandidates
from pipeline.earthengine.budget import SELECTION
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import (
    PASSING,
    SERVICE_ERRORS,
    EarthEngineFault,
    Fatal,
    Missing,
    Quota,
    TimedOut,
    TooBig,
    Transient,
)
from pipeline.grid import PatchGrid
from pipeline.locations.location import Location
from pipeline.settings import SEASONS, Settings

S2_COLLECTION = "COPERNICUS/S2_HARMONIZED"
"""Level-1C with the offset of processing baseline 04.00 taken off again."""

S1_COLLECTION = "COPERNICUS/S1_GRD"
DW_COLLECTION = "GOOGLE/DYNAMICWORLD/V1"

CANDIDATES_PER_SEASON = 8
"""Newest scenes told per sensor; enough to find a Dynamic World twin, which one in five lacks."""

_INDEX, _TIME = "system:index", "system:time_start"
_CLOUD, _TILE, _BASELINE = "CLOUDY_PIXEL_PERCENTAGE", "MGRS_TILE", "PROCESSING_BASELINE"
_PASS, _ORBIT = "orbitProperties_pass", "relativeOrbitNumber_start"

Window = tuple[dt.date, dt.date]
Answer = tuple[Location, list[SeasonCandidates] | EarthEngineFault]


def select_candidates(
    client: Client, locations: Iterable[Location], settings: Settings
) -> Iterator[Answer]:
    """Ask for the scenes of many places, batch by batch on all slots.

    Args:
        client: A session on the standard endpoint.
        locations: The places.
        settings: Window, cloud limit and size of a batch.

    Yields:
        In the order the answers come: a place and its candidates, one per season; or the fault
        that kept us from finding out (any but `Missing`).

    Raises:
        Fatal: The service refuses; nothing more would be answered.
    """
    batches = _batches(locations, settings.earthengine.selection_batch)
    ask = partial(_ask, client, settings=settings)
    for _, answers in client.map(ask, batches):
        yield from answers.result()


def search_window(date: dt.date, half_window_days: int) -> Window:
    """First day searched and the day after the last one (half-open, as SSL4EO-S12 does it).

    Source: zhu-xlab/SSL4EO-S12, src/download_data/ssl4eo_s12_downloader.py, `get_period`.
    """
    reach = dt.timedelta(days=half_window_days)
    return date - reach, date + reach


def _ask(client: Client, places: Sequence[Location], settings: Settings) -> list[Answer]:
    """Ask for one batch; where it is too much at once, for its halves."""
    try:
        return _ask_once(client, places, settings)
    except Fatal:
        raise
    except Missing as fault:
        raise Fatal(f"a collection is not in the archive: {fault}", fault.status) from fault
    except EarthEngineFault as fault:
        if len(places) > 1 and isinstance(fault, TooBig | TimedOut):
            middle = len(places) // 2
            halves = places[:middle], places[middle:]
            return [answer for half in halves for answer in _ask(client, half, settings)]
        return [(place, fault) for place in places]


def _ask_once(client: Client, places: Sequence[Location], settings: Settings) -> list[Answer]:
    windows = {
        place.location_id: [
            search_window(date, settings.seasons.half_window_days) for date in place.dates
        ]
        for place in places
    }
    query = _query(places, windows, settings.selection.cloud_cover_max)

    def check(answer: Any) -> list[Answer]:
        by_id = _features_by_id(answer)
        return [
            (place, _read_seasons(by_id, place.location_id, windows[place.location_id]))
            for place in places
        ]

    request = partial(_compute, query)
    divisible = len(places) > 1
    repeat = (Quota, Transient) if divisible else (*PASSING, TooBig)
    return client.call(request, check, SELECTION, repeat)


def _compute(query: ee.FeatureCollection) -> Any:
    """Send the query; the client fails in its own ways on what is not the JSON it expects."""
    try:
        return ee.data.computeValue(query)
    except SERVICE_ERRORS:  # some of them are ValueErrors too
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise Transient(f"garbled selection answer: {error!r:.200}") from error


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
    return ee.Feature(_rectangle(place.grid), {"id": place.location_id, **dates})


def _rectangle(grid: PatchGrid) -> ee.Geometry:
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


def _features_by_id(answer: Any) -> dict[str, dict[str, Any]]:
    try:
        return {row["properties"]["id"]: row["properties"] for row in answer["features"]}
    except (KeyError, TypeError) as error:
        raise Transient(f"garbled selection answer: {error!r}") from error


def _read_seasons(
    by_id: dict[str, dict[str, Any]], location_id: str, windows: list[Window]
) -> list[SeasonCandidates]:
    try:
        answers = by_id[location_id]
        return [
            _read_season(answers[f"season_{season}"], window)
            for season, window in enumerate(windows)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Transient(f"garbled selection answer for {location_id}: {error!r}") from error


def _read_season(answer: dict[str, Any], window: Window) -> SeasonCandidates:
    baselines, passes, orbits = (dict(answer[key]) for key in ("baselines", "passes", "orbits"))
    optical = tuple(
        OpticalScene(str(index), int(time), float(cloud), str(tile), str(baselines.get(index, "")))
        for index, time, cloud, tile in answer["optical"]
    )
    radar = tuple(
        RadarScene(str(index), int(time), str(passes.get(index, "")), int(orbits.get(index, 0)))
        for index, time in answer["radar"]
    )
    for rows, count in ((optical, answer["clear_count"]), (radar, answer["radar_count"])):
        # A scene without time, cloud cover or tile has no row: not the same as no scene.
        if len(rows) != min(int(count), CANDIDATES_PER_SEASON):
            raise ValueError(f"{count} scenes, but metadata of {len(rows)}")
    labels = frozenset(str(index) for index in answer["labels"])
    return SeasonCandidates(*window, int(answer["optical_count"]), optical, radar, labels)


def _batches(locations: Iterable[Location], size: int) -> Iterator[list[Location]]:
    source = iter(locations)
    while batch := list(islice(source, size)):
        yield batch
