"""What lies at every place: the land cover without its seasons.

Smooth fields decide where it is wet, steep, warm, farmed or urban; the cadastre gives fields,
blocks and roads their straight edges. Later steps paint over earlier ones: wild land, farmland,
wetland, water, roads, towns, rock.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import PatchGrid
from pipeline.simulator import cadastre, settlements
from pipeline.simulator.cadastre import Districts, Lots
from pipeline.simulator.fields import smooth_fields
from pipeline.simulator.noise import lattice_hash, stable_hash, to_unit
from pipeline.simulator.sheets import SheetPoints, place_on_sheets, sample_lattice
from pipeline.simulator.surfaces import PHASES, surface_id, surface_names
from pipeline.simulator.terrain import make_terrain

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

_DETAIL_SPACING_M = 24.0
_BUILDING_M = 16.0
_PARCEL_SALT, _BLOCK_SALT = 1, 2


@dataclass(frozen=True, eq=False)
class Landscape:
    """The lasting properties of the pixels of a window, each (rows, columns).

    Attributes:
        surface: Number of the surface, see `surfaces`.
        calendar: Position in the calendars of the belts: (belt, surface, phase) as one number.
        belts: Latitudes of the calendars, degrees; nearly always one.
        tone: Brightness relative to the mean of the surface.
        soil: Brightness of the soil relative to the mean soil.
        vigour: How well plants grow, about 1.
        warmth: Annual mean temperature that snow feels, degrees Celsius.
        east: Slope of the ground eastwards, metres per metre.
        north: Slope northwards.
    """

    surface: NDArray[np.uint8]
    calendar: NDArray[np.int32]
    belts: tuple[float, ...]
    tone: Plane
    soil: Plane
    vigour: Plane
    warmth: Plane
    east: Plane
    north: Plane


@dataclass(frozen=True, eq=False)
class _Sites:
    """Smooth conditions at the pixels; scores are positive where the thing prevails."""

    trees: Plane
    dryness: Plane
    farms: Plane
    still_water: Plane
    river: Plane
    creek: Plane
    marsh: Plane
    urban: Plane
    rock: Plane
    conifers: Plane
    moisture: Plane
    soil: Plane
    warmth: Plane
    east: Plane
    north: Plane
    bend: Plane
    stand: Plane


def survey(grid: PatchGrid, seed: int) -> Landscape:
    """The landscape at the pixel centres of a window in any UTM zone."""
    pieces = list(place_on_sheets(grid))
    surveyed = [_survey_sheet(points, seed) for points in pieces]
    if len(surveyed) == 1:
        return surveyed[0]
    return _join(pieces, surveyed)


def _survey_sheet(points: SheetPoints, seed: int) -> Landscape:
    sites = _conditions(points, seed)
    detail, canopy = _fine_noise(points, seed)
    districts = cadastre.find_districts(points, seed)
    parcels = cadastre.cut_lots(districts, _parcel_depth(districts), _PARCEL_SALT)
    surface = _wild_land(sites, detail)
    tone = 1.0 + np.float32(0.2) * canopy + np.float32(0.05) * sites.stand
    phase = (to_unit(parcels.identity, 3) * PHASES).astype(np.uint8)
    _farm(surface, tone, sites, districts, parcels, detail)
    _flood(surface, tone, sites, detail, canopy)
    _build_roads(surface, points, sites, districts, seed)
    _build_towns(surface, tone, sites, districts, detail, canopy)
    _bare_rock(surface, sites, detail)
    calendar = surface.astype(np.int32) * PHASES + phase
    soil = 1.0 + np.float32(0.16) * np.tanh(sites.soil) + np.float32(0.03) * canopy
    vigour = np.clip(
        0.45 + np.float32(1.05) * sites.moisture + np.float32(0.05) * detail, 0.35, 1.2
    )
    return Landscape(
        surface,
        calendar,
        (points.sheet.middle_lat,),
        tone,
        soil,
        vigour,
        sites.warmth + 0.8 * detail,
        sites.east.copy(),  # not a view: the other conditions must not stay in memory
        sites.north.copy(),
    )


def _conditions(points: SheetPoints, seed: int) -> _Sites:
    """Scores computed at the nodes of the sheet, brought to the pixels."""
    nodes = points.nodes
    fields = smooth_fields(nodes, seed)
    land = make_terrain(fields, nodes)
    slope, moisture, cold = land.slope, land.moisture, 3.0 - land.temperature
    shore = np.exp(-np.maximum(0.0, np.abs(land.river) - 1.0) / 5.0)
    shore = np.maximum(shore, np.exp(-np.abs(land.still_water) / 0.12))
    poleward = np.where(nodes.lat >= 0.0, 1.0, -1.0).astype(np.float32)[:, None]
    scores = _Sites(
        trees=0.85 * fields["forest"]
        + 7.0 * (moisture - 0.53)
        + 2.5 * np.minimum(slope, 0.4)
        - 1.1 * np.maximum(0.0, cold),
        dryness=6.5 * (0.5 - moisture) + 0.65 * fields["open"] + 0.25 * np.maximum(0.0, cold),
        farms=0.75
        + 0.7 * fields["farms"]
        - 8.0 * slope
        - 9.0 * np.maximum(0.0, 0.42 - moisture)
        - 0.35 * np.maximum(0.0, cold),
        still_water=land.still_water,
        river=land.river,
        creek=land.creek,
        marsh=0.6 * fields["wet"] + 1.7 * shore + 3.0 * (moisture - 0.5) - 14.0 * slope - 1.25,
        urban=settlements.density(nodes, seed) + 0.22 * fields["outline"] - 1.2 * slope,
        rock=5.0 * (slope - 0.62)
        - 0.45 * (land.temperature + 3.0) * land.mountain
        - 2.0 * (1.0 - land.mountain)
        + 0.45 * fields["open"],
        conifers=0.8 * fields["conifer"] + 0.22 * (7.5 - land.temperature),
        moisture=moisture,
        soil=fields["soil"],
        warmth=land.temperature + 0.7 * fields["wet"] - 5.0 * land.north * poleward * -1.0,
        east=land.east,
        north=land.north,
        bend=90.0 * fields["open"],
        stand=fields["conifer"] + fields["open"],
    )
    stacked = np.stack(list(vars(scores).values()), axis=-1).astype(np.float32)
    return _Sites(*nodes.at(stacked, points))


def _fine_noise(points: SheetPoints, seed: int) -> tuple[Plane, Plane]:
    """Two noises of the size of trees and bushes, each about -1 to 1."""
    columns, rows = (
        np.arange(
            np.floor(axis.min() / _DETAIL_SPACING_M), np.floor(axis.max() / _DETAIL_SPACING_M) + 2
        ).astype(np.int64)
        for axis in (points.u, points.v)
    )
    salt = stable_hash(seed, "detail", points.sheet.number)
    hashes = lattice_hash(columns[None, :], rows[:, None], salt)
    nodes = np.stack([to_unit(hashes, 0), to_unit(hashes, 1)], axis=-1) * 2.0 - 1.0
    detail, coarse = sample_lattice(nodes, points, _DETAIL_SPACING_M, columns[0], rows[0])
    crowns = np.floor(points.u * 0.1), np.floor(points.v * 0.1)
    canopy = 0.6 * coarse + 0.8 * (to_unit(lattice_hash(*crowns, salt), 2) - 0.5)
    return detail, canopy


def _wild_land(sites: _Sites, detail: Plane) -> NDArray[np.uint8]:
    """Forest, grassland, shrubland and desert."""
    humid = sites.moisture > 0.46
    dryness = sites.dryness + 0.35 * detail
    surface = np.where(humid, surface_id("pasture"), surface_id("dry_grass")).astype(np.uint8)
    shrubs = np.where(humid, surface_id("heath"), surface_id("dry_scrub"))
    np.copyto(surface, shrubs, where=dryness > 0.42, casting="unsafe")
    desert = np.where(sites.soil + 0.6 * detail > 0.6, surface_id("sand"), surface_id("dry_soil"))
    np.copyto(surface, desert, where=dryness > 1.25, casting="unsafe")
    woods = np.where(
        sites.conifers + 0.5 * detail > 0.0, surface_id("conifer"), surface_id("broadleaf")
    )
    np.copyto(surface, woods, where=sites.trees + 0.4 * detail > 0.0, casting="unsafe")
    return surface


def _parcel_depth(districts: Districts) -> Plane:
    """From smallholdings of 50 m to estates of 350 m, by district."""
    return 50.0 + 300.0 * to_unit(districts.identity, 0) ** 1.6


def _farm(
    surface: NDArray[np.uint8],
    tone: Plane,
    sites: _Sites,
    districts: Districts,
    parcels: Lots,
    detail: Plane,
) -> None:
    """Fields, pastures, orchards and woodlots with straight edges; hedges and farmsteads."""
    chance = to_unit(parcels.identity, 0)
    farmed = (sites.farms + 0.9 * (chance - 0.5) > 0.0) & (sites.warmth > 1.0)
    wooded = sites.trees > 0.9 + 1.6 * to_unit(parcels.identity, 1)
    fields = farmed & ~wooded
    crop = _crops(districts, parcels, sites)
    hedged = (to_unit(districts.identity, 1) < 0.35) & (sites.moisture > 0.45)
    hedge = fields & hedged & (parcels.edge < 5.0)
    np.copyto(surface, crop, where=fields)
    np.copyto(tone, 0.84 + 0.32 * to_unit(parcels.identity, 2) + 0.03 * detail, where=fields)
    surface[hedge] = surface_id("broadleaf")
    gallery = farmed & (np.abs(sites.creek) < 22.0 + 16.0 * detail) & (sites.moisture > 0.44)
    surface[gallery] = surface_id("broadleaf")
    farmstead = fields & (chance > 0.94) & (parcels.corner < 38.0 + 16.0 * detail)
    surface[farmstead] = surface_id("houses")


def _crops(districts: Districts, parcels: Lots, sites: _Sites) -> NDArray[np.uint8]:
    """The crop of each parcel; every district has its own rotation."""
    rotations = _rotations()
    rotation = (to_unit(districts.identity, 2) * len(rotations)).astype(np.intp)
    turn = (to_unit(parcels.identity, 1) * rotations.shape[1]).astype(np.intp)
    crop: NDArray[np.uint8] = rotations.ravel().take(rotation * rotations.shape[1] + turn)
    cold_orchard = (crop == surface_id("orchard")) & (sites.warmth < 8.0)
    crop[cold_orchard] = surface_id("pasture")
    return crop


def _rotations() -> NDArray[np.uint8]:
    """(rotations, turns) of surfaces: cereal, maize, mixed, dairy, orchard and cereal country."""
    plans = (
        "winter_cereal winter_cereal rapeseed winter_cereal summer_crop fallow rapeseed pasture",
        "summer_crop summer_crop summer_crop winter_cereal fodder pasture summer_crop fallow",
        "winter_cereal summer_crop rapeseed fodder pasture winter_cereal summer_crop fallow",
        "pasture pasture fodder summer_crop pasture winter_cereal pasture fodder",
        "orchard orchard fallow winter_cereal orchard pasture orchard summer_crop",
        "winter_cereal summer_crop summer_crop winter_cereal fallow rapeseed fodder winter_cereal",
    )
    return np.array([[surface_id(name) for name in plan.split()] for plan in plans], np.uint8)


def _flood(
    surface: NDArray[np.uint8], tone: Plane, sites: _Sites, detail: Plane, canopy: Plane
) -> None:
    """Wetlands, sand banks, beaches, rivers, lakes and the sea."""
    marsh = sites.marsh + 0.3 * detail > 0.0
    wooded = np.where(sites.trees > 0.4, surface_id("swamp"), surface_id("marsh"))
    np.copyto(surface, wooded, where=marsh, casting="unsafe")
    bank = np.abs(sites.river)
    gravel = (bank < 1.35) & (sites.soil + detail > 0.6)
    beach = (sites.still_water > -0.03) & (sites.soil + 1.2 * detail > 0.9)
    flowing, still = bank < 1.0, sites.still_water > 0.0
    surface[gravel | beach] = surface_id("sand")
    surface[flowing] = surface_id("turbid_water")
    surface[still] = surface_id("open_water")
    np.copyto(tone, 1.0 + 0.1 * canopy, where=marsh | gravel | beach)
    np.copyto(tone, 1.0 + 0.03 * canopy, where=flowing | still)


def _build_roads(
    surface: NDArray[np.uint8],
    points: SheetPoints,
    sites: _Sites,
    districts: Districts,
    seed: int,
) -> None:
    """Roads along the borders of settled districts, and roads that join settlements."""
    lanes = (to_unit(districts.border_identity, 0) < 0.45) & (sites.farms > 0.1)
    lanes |= sites.urban > -0.15
    lane = lanes & (districts.border < 4.5) & (np.abs(sites.river) > 1.0)
    paved = lane & (sites.still_water < 0.0)
    for road in settlements.roads_near(points, seed):
        distance = settlements.distance_to_road(points, road, sites.bend)
        paved |= (distance < road.half_width) & (sites.still_water < 0.0)
    surface[paved] = surface_id("road")


def _build_towns(
    surface: NDArray[np.uint8],
    tone: Plane,
    sites: _Sites,
    districts: Districts,
    detail: Plane,
    canopy: Plane,
) -> None:
    """Blocks of houses with streets and parks; halls at the edge, dense roofs in the middle."""
    blocks = cadastre.cut_lots(districts, 55.0 + 50.0 * to_unit(districts.identity, 3), _BLOCK_SALT)
    chance = to_unit(blocks.identity, 0)
    dry = (np.abs(sites.river) > 1.15) & (sites.still_water < -0.02) & (sites.warmth > -4.0)
    built = dry & (sites.urban + 0.3 * (chance - 0.5) > 0.0)
    kind = np.where(sites.urban > 0.42, 16, 0) + (to_unit(blocks.identity, 1) * 16).astype(np.intp)
    block = _block_kinds().take(kind)
    greens = (block == surface_id("lawn")) & (detail > 0.15)
    block[greens] = surface_id("broadleaf")
    block[blocks.edge < 5.0] = surface_id("road")
    np.copyto(surface, block, where=built)
    roofs = _roof_tone(districts)
    np.copyto(tone, 0.8 + 0.4 * roofs + 0.05 * canopy, where=built)


def _block_kinds() -> NDArray[np.uint8]:
    """Surfaces of the 16 kinds of block in suburbs, then of the 16 in town centres."""
    suburb = ["houses"] * 11 + ["halls"] + ["lawn"] * 2 + ["pasture", "broadleaf"]
    centre = ["dense_roofs"] * 9 + ["houses"] * 4 + ["halls"] + ["lawn"] * 2
    return np.array([surface_id(name) for name in suburb + centre], np.uint8)


def _roof_tone(districts: Districts) -> Plane:
    """One random tone per building plot, 0 to 1, aligned with the streets."""
    plot_across = np.floor(districts.across / _BUILDING_M)
    plot_down = np.floor(districts.down / _BUILDING_M)
    return to_unit(lattice_hash(plot_across, plot_down, 0) ^ districts.identity, 1)


def _bare_rock(surface: NDArray[np.uint8], sites: _Sites, detail: Plane) -> None:
    """Cliffs and summits."""
    bare = (sites.rock + 0.5 * detail > 0.0) & (surface > surface_id("turbid_water"))
    surface[bare] = surface_id("rock")


def _join(pieces: list[SheetPoints], surveyed: list[Landscape]) -> Landscape:
    """One landscape from those of several sheets, each valid where its sheet lies."""
    step = np.int32(len(surface_names()) * PHASES)
    joined = {name: plane.copy() for name, plane in vars(surveyed[0]).items() if name != "belts"}
    for belt, (points, landscape) in enumerate(zip(pieces, surveyed, strict=True)):
        for name, plane in joined.items():
            values = getattr(landscape, name)
            shift = belt * step if name == "calendar" else 0
            np.copyto(plane, values + values.dtype.type(shift), where=points.belongs)
    belts = tuple(landscape.belts[0] for landscape in surveyed)
    return Landscape(belts=belts, **joined)
