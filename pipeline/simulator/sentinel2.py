"""Sentinel-2 L1C granules, the Dynamic World images made from them, and the truth beside them."""

import datetime
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import shapely
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from pipeline.legend import load_legend
from pipeline.sensors import cube_bands
from pipeline.simulator import clouds, label_noise, spectra, utm, world
from pipeline.simulator.mgrs import TILE_SIZE_M, Tile, tile_from_name
from pipeline.simulator.noise import stable_hash, uniform
from pipeline.simulator.orbits import RepeatOrbit, solar_position
from pipeline.simulator.scene import SceneBand
from pipeline.simulator.scenes import Painter, ProceduralScene, band_on
from pipeline.simulator.tables import read_table

L1C = "COPERNICUS/S2"
L1C_HARMONIZED = "COPERNICUS/S2_HARMONIZED"
DYNAMIC_WORLD = "GOOGLE/DYNAMICWORLD/V1"
TRUTH = "SIMULATED/TRUTH/V1"
COLLECTIONS = (L1C, L1C_HARMONIZED, DYNAMIC_WORLD, TRUTH)

ORBIT = RepeatOrbit(143, 10, 98.62, 22.5, datetime.date(2015, 6, 26), 290_000.0)
"""Sentinel-2 user handbook: 143 revolutions in 10 days, descending node at 10:30, 290 km swath."""

_S2B_FROM = datetime.datetime(2017, 3, 15, tzinfo=datetime.UTC)
_HALF_CYCLE_DAYS = 5
_OFFSET_FROM_BASELINE = "04.00"
_OFFSET_DN = 1000
_QA60_UNTIL = datetime.datetime(2024, 2, 28, tzinfo=datetime.UTC)
_LARGEST_ZENITH = 82.0
_MAX_CLOUD_OF_DYNAMIC_WORLD = 35.0
_SHARE_WITHOUT_DYNAMIC_WORLD = 0.20
_SHARE_OF_GAPS = 0.03
_SHARE_OF_SPLITS = 0.04
_SPLIT_OVERLAP_M = 3_000.0
_DATATAKE_DEGREES = 20.0
_INDEX = re.compile(r"(\d{8}T\d{6})_(\d{8}T\d{6})_T(\w{5})")


@dataclass(frozen=True)
class Granule:
    """One acquisition of one tile.

    Attributes:
        tile: Where.
        track: Ground track, see `RepeatOrbit`.
        spacecraft: ``A`` or ``B``.
        datatake: Start of the datatake, the first stamp of the index.
        sensed: Sensing time of the granule, the second stamp.
        outline: Valid data in the zone of the tile.
        cloud_percent: Share of the valid data under cloud, 0 to 100.
    """

    tile: Tile
    track: int
    spacecraft: str
    datatake: datetime.datetime
    sensed: datetime.datetime
    outline: Polygon
    cloud_percent: float

    @cached_property
    def index(self) -> str:
        """The ``system:index``, e.g. ``20200922T093047_20200922T093058_T33SWC``."""
        return f"{_stamp(self.datatake)}_{_stamp(self.sensed)}_T{self.tile.name}"

    @cached_property
    def baseline(self) -> str:
        """Processing baseline in force on the sensing day."""
        day = self.sensed.date()
        return max(row for row in _baselines() if row[0] <= day)[1]

    @cached_property
    def sun(self) -> tuple[float, float]:
        """Zenith and azimuth of the sun over the tile's middle, degrees."""
        return solar_position(self.sensed, *self.tile.centre)


def search(
    collection: str, tiles: list[Tile], start_ms: int, end_ms: int, seed: int
) -> Iterator[ProceduralScene]:
    """Scenes of a collection on the tiles, sensed in [start_ms, end_ms)."""
    for tile in tiles:
        for track in _tracks(tile):
            for pass_number in _passes(tile, track, start_ms, end_ms):
                for granule in granules(tile, track, pass_number, seed):
                    scene = scene_of(collection, granule, seed)
                    if scene and start_ms <= _milliseconds(granule.sensed) < end_ms:
                        yield scene


def get(collection: str, index: str, seed: int) -> ProceduralScene | None:
    """The scene of a ``system:index``, found from the date and the tile in it."""
    parts = _INDEX.fullmatch(index)
    tile = tile_from_name(parts[3]) if parts else None
    if parts is None or tile is None:
        return None
    try:
        sensed = datetime.datetime.strptime(parts[2] + "+0000", "%Y%m%dT%H%M%S%z")
    except ValueError:
        return None
    moment = _milliseconds(sensed)
    for scene in search(collection, [tile], moment, moment + 1000, seed):
        if scene.index == index:
            return scene
    return None


@lru_cache(maxsize=4096)
def granules(tile: Tile, track: int, pass_number: int, seed: int) -> tuple[Granule, ...]:
    """What one pass brings back of a tile: nothing, one granule, or two of a split datatake.

    Args:
        tile: Where.
        track: Ground track.
        pass_number: Half repeat cycles since the epoch; S2A flies the even, S2B the odd ones.
        seed: Of the world.
    """
    lat = tile.centre[1]
    spacecraft = "AB"[pass_number % 2]
    day = _HALF_CYCLE_DAYS * pass_number
    sensed = ORBIT.sensing_time(track, day, lat, descending=True)
    key = (seed, "sentinel-2", tile.name, track, pass_number)
    if spacecraft == "B" and sensed < _S2B_FROM or uniform(*key, "gap") < _SHARE_OF_GAPS:
        return ()
    if solar_position(sensed, *tile.centre)[0] > _LARGEST_ZENITH:
        return ()
    first_lat = (math.floor(lat / _DATATAKE_DEGREES) + 1) * _DATATAKE_DEGREES
    datatake = ORBIT.sensing_time(track, day, first_lat, descending=True)
    cloud = _cloud_percent(*key)
    whole = _outline(tile, track)
    if uniform(*key, "split") >= _SHARE_OF_SPLITS:
        return (Granule(tile, track, spacecraft, datatake, sensed, whole, cloud),)
    later = sensed + datetime.timedelta(seconds=13)
    parts = _split(tile, whole, uniform(*key, "cut"))
    times = (sensed, later)
    return tuple(
        Granule(tile, track, spacecraft, datatake, time, part, cloud)
        for time, part in zip(times, parts, strict=True)
        if not part.is_empty
    )


@lru_cache(maxsize=4096)
def scene_of(collection: str, granule: Granule, seed: int) -> ProceduralScene | None:
    """A granule's image in a collection; None where Dynamic World has no twin of it."""
    if collection == DYNAMIC_WORLD and not _has_dynamic_world(granule, seed):
        return None
    return ProceduralScene(
        f"{collection}/{granule.index}",
        granule.index,
        granule.tile.epsg,
        granule.outline,
        _footprint(granule.tile.epsg, granule.outline.wkb),
        _properties(collection, granule),
        _bands(collection, granule.tile, granule.sensed < _QA60_UNTIL),
        _painter(collection, granule, seed),
    )


def _tracks(tile: Tile) -> list[int]:
    """Ground tracks whose swath covers some of a tile."""
    return [track for track in _candidate_tracks(tile) if not _outline(tile, track).is_empty]


@lru_cache(maxsize=4096)
def _candidate_tracks(tile: Tile) -> tuple[int, ...]:
    reach = (ORBIT.swath_m + 1.5 * TILE_SIZE_M) / 2.0
    return tuple(ORBIT.tracks_near(*tile.centre, descending=True, reach_m=reach))


@lru_cache(maxsize=4096)
def _outline(tile: Tile, track: int) -> Polygon:
    lat = tile.centre[1]
    strip = ORBIT.swath(track, (lat + 1.5, lat - 1.5), True, tile.epsg)
    return _largest_polygon(strip.intersection(box(*tile.bounds)))


def _split(tile: Tile, outline: Polygon, position: float) -> tuple[Polygon, Polygon]:
    left, bottom, right, top = tile.bounds
    cut = bottom + (0.3 + 0.4 * position) * TILE_SIZE_M
    upper = outline.intersection(box(left, cut - _SPLIT_OVERLAP_M, right, top))
    lower = outline.intersection(box(left, bottom, right, cut))
    return _largest_polygon(upper), _largest_polygon(lower)


def _largest_polygon(shape: BaseGeometry) -> Polygon:
    """The polygon itself; touching edges (points, lines) become an empty polygon."""
    return shape if isinstance(shape, Polygon) else Polygon()


@lru_cache(maxsize=4096)
def _footprint(epsg: int, outline: bytes) -> BaseGeometry:
    return utm.lonlat_outline(epsg, shapely.from_wkb(outline))


def _passes(tile: Tile, track: int, start_ms: int, end_ms: int) -> range:
    first = ORBIT.sensing_time(track, 0, tile.centre[1], descending=True)
    step = _HALF_CYCLE_DAYS * 86_400_000
    origin = _milliseconds(first)
    return range(max(0, (start_ms - origin) // step), max(0, (end_ms - origin) // step + 1))


def _cloud_percent(*key: object) -> float:
    """Most scenes are clear or overcast: 42 % below 20 % cloud, 40 % above 50 % cloud."""
    kind, amount = uniform(*key, "weather"), uniform(*key, "cloud")
    if kind < 0.42:
        percent = 20.0 * amount
    elif kind < 0.60:
        percent = 20.0 + 30.0 * amount
    else:
        percent = 50.0 + 50.0 * amount
    return round(percent, 4)


def _has_dynamic_world(granule: Granule, seed: int) -> bool:
    lost = uniform(seed, granule.index, "dynamic world") < _SHARE_WITHOUT_DYNAMIC_WORLD
    return granule.cloud_percent <= _MAX_CLOUD_OF_DYNAMIC_WORLD and not lost


@lru_cache(maxsize=1024)
def _bands(collection: str, tile: Tile, has_cloud_mask: bool) -> dict[str, SceneBand]:
    if collection in (L1C, L1C_HARMONIZED):
        described = [(band.name, "uint16", band.resolution_m) for band in cube_bands("sentinel-2")]
        if has_cloud_mask:
            described.append(("QA60", "uint16", 60))
    else:
        described = [("label", "uint8", 10)]
    if collection == DYNAMIC_WORLD:
        classes = [row.flag_meaning for row in load_legend("dynamic_world")]
        described = [(name, "float32", 10) for name in classes] + described
    size = (TILE_SIZE_M, TILE_SIZE_M)
    return {name: band_on(name, dtype, tile.origin, step, size) for name, dtype, step in described}


def _painter(collection: str, granule: Granule, seed: int) -> Painter:
    sky = clouds.CloudField(
        stable_hash(seed, granule.index, "sky"),
        granule.cloud_percent,
        granule.outline,
        granule.sun,
    )
    salt = stable_hash(seed, granule.index)
    date = granule.sensed.date()
    if collection == TRUTH:
        return world.TruthPainter(date, seed)
    if collection == DYNAMIC_WORLD:
        return label_noise.DynamicWorldPainter(date, seed, salt, sky)
    shifted = collection == L1C and granule.baseline >= _OFFSET_FROM_BASELINE
    offset = _OFFSET_DN if shifted else 0
    return spectra.ReflectancePainter(date, seed, salt, sky, granule.sun, offset)


def _properties(collection: str, granule: Granule) -> dict[str, Any]:
    moment = _milliseconds(granule.sensed)
    common = {"system:index": granule.index, "system:time_start": moment}
    if collection == TRUTH:
        return common
    common["system:time_end"] = moment
    if collection == DYNAMIC_WORLD:
        return common | {"dynamicworld_algorithm_version": "3.5", "qa_algorithm_version": "1.1"}
    return common | _level_1c_properties(granule)


def _level_1c_properties(granule: Granule) -> dict[str, Any]:
    number = ORBIT.revolution(granule.track) + 1
    mission = f"S2{granule.spacecraft}"
    version = granule.baseline.replace(".", "")
    start, sensed, name = _stamp(granule.datatake), _stamp(granule.sensed), granule.tile.name
    product = f"{mission}_MSIL1C_{start}_N{version}_R{number:03d}_T{name}_{sensed}"
    zenith, azimuth = granule.sun
    return {
        "CLOUDY_PIXEL_PERCENTAGE": granule.cloud_percent,
        "CLOUD_COVERAGE_ASSESSMENT": granule.cloud_percent,
        "DATATAKE_TYPE": "INS-NOBS",
        "FORMAT_CORRECTNESS": "PASSED",
        "GENERAL_QUALITY": "PASSED",
        "GEOMETRIC_QUALITY": "PASSED",
        "RADIOMETRIC_QUALITY": "PASSED",
        "SENSOR_QUALITY": "PASSED",
        "MEAN_SOLAR_AZIMUTH_ANGLE": azimuth,
        "MEAN_SOLAR_ZENITH_ANGLE": zenith,
        "MGRS_TILE": name,
        "PROCESSING_BASELINE": granule.baseline,
        "PRODUCT_ID": product,
        "REFLECTANCE_CONVERSION_CORRECTION": _sun_distance_factor(granule.sensed),
        "SENSING_ORBIT_DIRECTION": "DESCENDING",
        "SENSING_ORBIT_NUMBER": number,
        "SPACECRAFT_NAME": f"Sentinel-2{granule.spacecraft}",
    }


def _sun_distance_factor(time: datetime.datetime) -> float:
    """Inverse square of the distance to the sun, astronomical units (L1C product definition)."""
    day = time.timetuple().tm_yday
    return 1.0 / (1.0 - 0.01673 * math.cos(0.0172 * (day - 2))) ** 2


@cache
def _baselines() -> tuple[tuple[datetime.date, str], ...]:
    rows = read_table("processing_baselines.csv")
    return tuple((datetime.date.fromisoformat(row["from_date"]), row["baseline"]) for row in rows)


def _stamp(time: datetime.datetime) -> str:
    return time.strftime("%Y%m%dT%H%M%S")


def _milliseconds(time: datetime.datetime) -> int:
    return round(time.timestamp() * 1000)
