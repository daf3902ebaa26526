"""From settings to locations: draw or read the places, keep those that are free, cut the shards.

Every drawn number comes from a stream of its own, seeded with (seed, sample, purpose), and a place
only gives way to earlier ones. So the list depends neither on how many locations are asked for nor
on who asks.
"""

import logging
from collections.abc import Iterator

import numpy as np

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid, crs_transformer, patch_grid, utm_epsg
from pipeline.inputs import bring, in_object_storage
from pipeline.locations.areas import read_area
from pipeline.locations.capacity import check_room, no_room
from pipeline.locations.land import is_land
from pipeline.locations.location import Location
from pipeline.locations.overlap import PatchIndex
from pipeline.locations.points import SPLITS, GivenPlace, read_points
from pipeline.locations.row_checks import UTM_LATITUDES
from pipeline.locations.samplers import (
    AreaSampler,
    CitySampler,
    LandSampler,
    Place,
    Sampler,
    largest_cities,
)
from pipeline.locations.seasons import Dates, shifted_dates
from pipeline.locations.ssl4eo import read_ssl4eo
from pipeline.locations.table import location_count, table_path
from pipeline.settings.tree import Settings

LOG = logging.getLogger(__name__)

PIXEL_M = 10.0
"""Pixel size of every patch, metres."""

MAX_BLOCKED = 2_000
"""A region counts as full when so many draws in a row landed on patches already taken."""

MAX_MISSED = 100_000
"""A region counts as without land when so many draws in a row landed outside it or in the sea."""

ID_DIGITS = 7
"""Width of a drawn location's id: five million locations may be asked for."""

OVERLAPS_SHOWN = 5
"""So many overlapping pairs of a table are named in the log."""

GIVEN = ("points", "ssl4eo")
"""Samplers that take places from a table instead of drawing them."""

_PLACE, _DATES, _SPLIT = range(3)
"""Purposes of the random streams."""


def draw_locations(settings: Settings) -> Iterator[Location]:
    """Yield the locations of a dataset in the order of their numbers.

    Drawn locations are numbered without gaps. A row of a table keeps its row number, so a row that
    is dropped because its patch overlaps an earlier one leaves a gap.

    Raises:
        PipelineError: The settings do not fit the sampler, a file cannot be used, or the region
            holds fewer patches than asked for.
    """
    if settings.locations.sampler in GIVEN:
        return _given_locations(settings)
    return _drawn_locations(settings)


def _drawn_locations(settings: Settings) -> Iterator[Location]:
    count = location_count(settings)
    side_m = settings.grid.pixels * PIXEL_M
    sampler = region_sampler(settings)
    taken = PatchIndex(side_m)
    for sample in range(count):
        drawn = _free_patch(settings, sampler, sample, taken)
        if drawn is None:
            raise no_room(sample, side_m, count, sampler)
        place, grid = drawn
        taken.add(sample, grid)
        yield _location(settings, sample, place, grid)


def region_sampler(settings: Settings) -> Sampler:
    """What draws places from the region of the settings.

    Raises:
        PipelineError: The area cannot be used, or holds fewer patches than asked for by far.
    """
    options = settings.locations
    if options.sampler == "cities":
        return CitySampler(largest_cities(options.city_count), options.city_spread_km * 1000.0)
    if options.sampler == "land":
        return LandSampler()
    if options.area is None:
        raise PipelineError("locations.area must be given for the sampler area")
    source = options.area
    if in_object_storage(source):
        source = str(bring(source, settings.folder / "inputs"))
    area = read_area(source)
    sampler = AreaSampler(area)
    check_room(area, sampler, settings.grid.pixels * PIXEL_M, location_count(settings))
    return sampler


def _free_patch(
    settings: Settings, sampler: Sampler, sample: int, taken: PatchIndex
) -> tuple[Place, PatchGrid] | None:
    """Draw from a sample's own stream until a patch is free; None if the region seems full."""
    stream = np.random.default_rng([settings.seed, sample, _PLACE])
    blocked = 0
    for _ in range(MAX_MISSED):
        place = _rounded(sampler.draw(stream))
        if place is None or not _usable(place):
            continue
        grid = patch_grid(place.lon, place.lat, settings.grid.pixels, PIXEL_M)
        if taken.first_overlap(grid) is None:
            return place, grid
        blocked += 1
        if blocked == MAX_BLOCKED:
            return None
    if blocked:
        return None
    raise PipelineError(
        f"no land was found in {MAX_MISSED} draws: the region lies in the sea (1 km land mask) "
        f"or beyond {UTM_LATITUDES[0]:g}..{UTM_LATITUDES[1]:g} degrees of latitude; "
        f"{sampler.remedy}"
    )


def _rounded(place: Place | None) -> Place | None:
    # A tenth of a metre: the last bits of sines differ between machines and must not matter.
    return place and Place(round(place.lon, 6), round(place.lat, 6))


def _usable(place: Place) -> bool:
    south, north = UTM_LATITUDES
    return south <= place.lat <= north and bool(is_land(place.lon, place.lat))


def _given_locations(settings: Settings) -> Iterator[Location]:
    count = location_count(settings)
    path = table_path(settings)
    published = settings.locations.sampler == "ssl4eo"
    places = (read_ssl4eo(path) if published else read_points(path))[:count]
    _report_zones(places)
    taken = PatchIndex(settings.grid.pixels * PIXEL_M)
    overlapping = 0
    for place in places:
        grid = _given_grid(place, settings.grid.pixels)
        earlier = taken.first_overlap(grid)
        if earlier is not None:
            overlapping += 1
            if overlapping <= OVERLAPS_SHOWN:
                LOG.warning("%s overlaps %s", _name(place), _name(places[earlier]))
        if earlier is None or published:
            taken.add(place.row, grid)
            yield _location(settings, place.row, Place(place.lon, place.lat), grid, place)
    if overlapping:
        fate = "kept, as published" if published else "dropped"
        LOG.warning("%d of %d places overlap an earlier one: %s", overlapping, len(places), fate)


def _given_grid(place: GivenPlace, pixels: int) -> PatchGrid:
    """The patch of a row: where its corner was given, exactly there; else snapped around it."""
    if place.origin is None or place.epsg is None:
        return patch_grid(place.lon, place.lat, pixels, PIXEL_M, place.epsg)
    grid = PatchGrid(place.epsg, *place.origin, pixels, pixels, PIXEL_M)
    left, bottom, right, top = grid.bounds
    easting, northing = crs_transformer(4326, grid.epsg).transform(place.lon, place.lat)
    if not (left <= easting <= right and bottom <= northing <= top):
        raise PipelineError(
            f"{_name(place)} is at {easting:.0f}, {northing:.0f} in EPSG:{grid.epsg}, outside of "
            f"the patch that its left = {left:g}, top = {top:g} and grid.pixels = {pixels} fix"
        )
    return grid


def _name(place: GivenPlace) -> str:
    return f"row {place.row + 1} ({place.location_id or 'no id'}, {place.lon:g}, {place.lat:g})"


def _report_zones(places: list[GivenPlace]) -> None:
    given = [place for place in places if place.epsg is not None]
    if not given:
        return
    own = sum(place.epsg == utm_epsg(place.lon, place.lat) for place in given)
    LOG.info(
        "zones: %d of %d places (%.1f %%) lie in the UTM zone given for them",
        own,
        len(given),
        100.0 * own / len(given),
    )


def _location(
    settings: Settings, sample: int, place: Place, grid: PatchGrid, given: GivenPlace | None = None
) -> Location:
    """Complete a place; what a table does not give is drawn."""
    return Location(
        sample=sample,
        location_id=(given and given.location_id) or f"{sample:0{ID_DIGITS}d}",
        lon=place.lon,
        lat=place.lat,
        grid=grid,
        dates=(given and given.dates) or _drawn_dates(settings, sample),
        split=(given and given.split) or _drawn_split(settings, sample),
        shard=sample // settings.store.shard_size,
    )


def _drawn_dates(settings: Settings, sample: int) -> Dates:
    stream = np.random.default_rng([settings.seed, sample, _DATES])
    return shifted_dates(settings.seasons.reference_dates, settings.seasons.shift_days, stream)


def _drawn_split(settings: Settings, sample: int) -> str:
    stream = np.random.default_rng([settings.seed, sample, _SPLIT])
    return SPLITS[stream.random() < settings.locations.validation_share]
