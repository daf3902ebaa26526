"""Sentinel-1 GRD scenes: slices of the ground tracks, each on a pixel grid of its own."""

import datetime
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from pipeline.grid import utm_epsg
from pipeline.simulator import backscatter, utm
from pipeline.simulator.noise import stable_hash, uniform
from pipeline.simulator.orbits import RepeatOrbit
from pipeline.simulator.scene import SceneBand
from pipeline.simulator.scenes import ProceduralScene, band_on

GRD = "COPERNICUS/S1_GRD"

ORBIT = RepeatOrbit(175, 12, 98.18, 18.0, datetime.date(2014, 10, 3), 250_000.0)
"""Sentinel-1 user handbook: 175 revolutions in 12 days, ascending node at 18:00, 250 km swath."""

_HALF_CYCLE_DAYS = 6
_S1B_FROM = datetime.datetime(2016, 9, 26, tzinfo=datetime.UTC)
_S1B_UNTIL = datetime.datetime(2021, 12, 23, tzinfo=datetime.UTC)
_SLICE_DEGREES = 1.5
_SLICE_SECONDS = 25
_HIGHEST_SLICE = 53  # 79.5 to 81 degrees
_SLICE_OVERLAP_DEGREES = 0.03
_GRID_OFFSET_M = (3.75, -1.25)  # GRD rasters are not on Sentinel-2's lattice; exact in binary
_ANGLE_STEP_M = 1000.0
_POLAR_LATITUDE = 68.0
_SHARE_OF_EXTRA_WIDE = 0.7
_SHARE_OF_GAPS = 0.04
_SHARE_WITHOUT_S1B = 0.25
_SHARE_OF_SINGLE_POLARISATION = 0.04
_SHARE_OF_UNUSED_PASSES = 0.15
_RELATIVE_ORBIT_SHIFT = {"A": 73, "B": 27}
_CYCLES_FLOWN_BEFORE = {"A": 15, "B": -47}  # S1A was launched before the epoch, S1B after it
_INDEX = re.compile(
    r"S1([AB])_(?:IW|EW)_GRD[HM]_1S[SD][VH]_(\d{8}T\d{6})_\d{8}T\d{6}_\d{6}_([0-9A-F]{6})_[0-9A-F]{4}"
)


@dataclass(frozen=True)
class Frame:
    """One slice of one ground track, imaged again in every cycle.

    Attributes:
        track: Ground track.
        descending: Morning (True) or evening pass.
        slice: Which 1.5 degrees of latitude, 0 at the equator, negative to the south.
    """

    track: int
    descending: bool
    slice: int

    @property
    def code(self) -> int:
        """The frame as one number of 24 bits; stands for the datatake in the index."""
        return self.track << 9 | int(self.descending) << 8 | self.slice + 128

    @property
    def centre_lat(self) -> float:
        """Latitude of the middle, degrees."""
        return (self.slice + 0.5) * _SLICE_DEGREES


def frame_from_code(code: int) -> Frame | None:
    """The frame of a number made by `Frame.code`, or None."""
    frame = Frame(code >> 9, bool(code >> 8 & 1), (code & 0xFF) - 128)
    exists = frame.track < ORBIT.revolutions and frame.slice >= -_HIGHEST_SLICE - 1
    return frame if exists and frame.slice <= _HIGHEST_SLICE else None


def frames_at(lon: float, lat: float) -> list[Frame]:
    """Frames that may image a place."""
    found = []
    middle = math.floor(lat / _SLICE_DEGREES)
    reach = ORBIT.swath_m
    for descending in (False, True):
        for track in ORBIT.tracks_near(lon, lat, descending, reach):
            for position in (middle - 1, middle, middle + 1):
                frame = frame_from_code(Frame(track, descending, position).code)
                if frame:
                    found.append(frame)
    return found


def search(frames: list[Frame], start_ms: int, end_ms: int, seed: int) -> Iterator[ProceduralScene]:
    """Scenes of the frames, sensed in [start_ms, end_ms)."""
    for frame in frames:
        first = ORBIT.sensing_time(frame.track, 0, frame.centre_lat, frame.descending)
        origin, step = round(first.timestamp() * 1000), _HALF_CYCLE_DAYS * 86_400_000
        passes = range(max(0, (start_ms - origin) // step), (end_ms - origin) // step + 1)
        for pass_number in passes:
            scene = scene_of(frame, pass_number, seed)
            if scene and start_ms <= scene.properties["system:time_start"] < end_ms:
                yield scene


def get(index: str, seed: int) -> ProceduralScene | None:
    """The scene of a ``system:index``, found from the date and the frame in it."""
    parts = _INDEX.fullmatch(index)
    frame = frame_from_code(int(parts[3], 16)) if parts else None
    if parts is None or frame is None:
        return None
    try:
        sensed = datetime.datetime.strptime(parts[2] + "+0000", "%Y%m%dT%H%M%S%z")
    except ValueError:
        return None
    moment = round(sensed.timestamp() * 1000)
    for scene in search([frame], moment, moment + 1000, seed):
        if scene.index == index:
            return scene
    return None


@lru_cache(maxsize=4096)
def scene_of(frame: Frame, pass_number: int, seed: int) -> ProceduralScene | None:
    """The scene of one pass over a frame, or None where nothing was acquired.

    Args:
        frame: Where.
        pass_number: Half repeat cycles since the epoch; S1A flies the even, S1B the odd ones.
        seed: Of the world.
    """
    spacecraft = "AB"[pass_number % 2]
    day = _HALF_CYCLE_DAYS * pass_number
    sensed = ORBIT.sensing_time(frame.track, day, frame.centre_lat, frame.descending)
    if not _acquired(frame, pass_number, spacecraft, sensed, seed):
        return None
    polarisations = _polarisations(frame, pass_number, seed)
    mode = _mode(frame, seed)
    properties = _properties(frame, spacecraft, pass_number, sensed, mode, polarisations, seed)
    index = properties["system:index"]
    epsg, outline, footprint = _geometry(frame)
    bands = _bands(frame, tuple(polarisations), properties["resolution_meters"])
    salt = stable_hash(seed, index)
    painter = backscatter.BackscatterPainter(sensed.date(), seed, salt, frame.descending, outline)
    return ProceduralScene(
        f"{GRD}/{index}", index, epsg, outline, footprint, properties, bands, painter
    )


def _acquired(
    frame: Frame, pass_number: int, spacecraft: str, sensed: datetime.datetime, seed: int
) -> bool:
    if uniform(seed, "sentinel-1", frame.track, frame.descending, "used") < _SHARE_OF_UNUSED_PASSES:
        return False
    if uniform(seed, "sentinel-1", frame.code, pass_number, "gap") < _SHARE_OF_GAPS:
        return False
    if spacecraft == "A":
        return True
    observed = uniform(seed, "sentinel-1", frame.code, "S1B") >= _SHARE_WITHOUT_S1B
    return observed and _S1B_FROM <= sensed < _S1B_UNTIL


def _mode(frame: Frame, seed: int) -> str:
    wide = uniform(seed, "sentinel-1", frame.code, "mode") < _SHARE_OF_EXTRA_WIDE
    return "EW" if wide and abs(frame.centre_lat) > _POLAR_LATITUDE else "IW"


def _polarisations(frame: Frame, pass_number: int, seed: int) -> list[str]:
    pair = ["HH", "HV"] if abs(frame.centre_lat) > _POLAR_LATITUDE else ["VV", "VH"]
    draw = uniform(seed, "sentinel-1", frame.code, pass_number, "polarisation")
    return pair[:1] if draw < _SHARE_OF_SINGLE_POLARISATION else pair


@lru_cache(maxsize=1024)
def _bands(frame: Frame, polarisations: tuple[str, ...], resolution: float) -> dict[str, SceneBand]:
    left, bottom, right, top = _geometry(frame)[1].bounds
    origin = (
        math.floor(left / 10.0) * 10.0 + _GRID_OFFSET_M[0],
        math.ceil(top / 10.0) * 10.0 + _GRID_OFFSET_M[1],
    )
    size = (
        math.ceil((top - bottom) / _ANGLE_STEP_M) * _ANGLE_STEP_M,
        math.ceil((right - left) / _ANGLE_STEP_M) * _ANGLE_STEP_M,
    )
    bands = {name: band_on(name, "float64", origin, resolution, size) for name in polarisations}
    return bands | {"angle": band_on("angle", "float32", origin, _ANGLE_STEP_M, size)}


@lru_cache(maxsize=4096)
def _geometry(frame: Frame) -> tuple[int, Polygon, BaseGeometry]:
    """Zone, outline in it, and outline in longitude and latitude."""
    half = _SLICE_DEGREES / 2.0 + _SLICE_OVERLAP_DEGREES
    lat = frame.centre_lat
    lon = ORBIT.track_longitude(frame.track, lat, frame.descending)
    epsg = utm_epsg(lon, lat)
    outline = ORBIT.swath(frame.track, (lat - half, lat + half), frame.descending, epsg)
    return epsg, outline, utm.lonlat_outline(epsg, outline)


def _properties(
    frame: Frame,
    spacecraft: str,
    pass_number: int,
    sensed: datetime.datetime,
    mode: str,
    polarisations: list[str],
    seed: int,
) -> dict[str, Any]:
    relative = ORBIT.revolution(frame.track) + 1
    cycle = pass_number // 2 + _CYCLES_FLOWN_BEFORE[spacecraft]
    absolute = cycle * ORBIT.revolutions + relative - 1 + _RELATIVE_ORBIT_SHIFT[spacecraft]
    kind = ("S" if len(polarisations) == 1 else "D") + polarisations[0][0]
    end = sensed + datetime.timedelta(seconds=_SLICE_SECONDS)
    unique = stable_hash(seed, frame.code, pass_number) & 0xFFFF
    index = (
        f"S1{spacecraft}_{mode}_GRD{'H' if mode == 'IW' else 'M'}_1S{kind}_"
        f"{sensed:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}_{absolute:06d}_{frame.code:06X}_{unique:04X}"
    )
    return {
        "system:index": index,
        "system:time_start": round(sensed.timestamp() * 1000),
        "system:time_end": round(end.timestamp() * 1000),
        "instrumentMode": mode,
        "instrumentSwath": mode,
        "orbitNumber_start": absolute,
        "orbitNumber_stop": absolute,
        "orbitProperties_pass": "DESCENDING" if frame.descending else "ASCENDING",
        "platform_number": spacecraft,
        "productType": "GRD",
        "relativeOrbitNumber_start": relative,
        "relativeOrbitNumber_stop": relative,
        "resolution": "H" if mode == "IW" else "M",
        "resolution_meters": 10 if mode == "IW" else 40,
        "sliceNumber": frame.slice + 54,
        "transmitterReceiverPolarisation": polarisations,
    }
