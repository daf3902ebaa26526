"""When the satellites pass where, and where the sun stands then.

Both Sentinels fly sun-synchronous orbits that repeat exactly, so ground tracks, relative orbit
numbers, overlaps of neighbouring swaths and revisit days all follow from a handful of constants.
"""

import datetime
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

from pipeline.simulator import utm

_METRES_PER_DEGREE = 111_320.0
_HIGHEST_LATITUDE = 81.0
_DAY_S = 86_400.0


@dataclass(frozen=True)
class RepeatOrbit:
    """A sun-synchronous orbit whose ground track repeats.

    Tracks are numbered eastwards by the longitude of their ascending node, track 0 at Greenwich.

    Attributes:
        revolutions: Revolutions in one repeat cycle.
        days: Days in one repeat cycle.
        inclination: Degrees.
        node_hour: Mean local solar time of the ascending node, hours.
        first_day: The day on which revolution 0 of cycle 0 crosses the node at Greenwich.
        swath_m: Width of the imaged strip, centred on the track, metres.
    """

    revolutions: int
    days: int
    inclination: float
    node_hour: float
    first_day: datetime.date
    swath_m: float

    @cached_property
    def epoch(self) -> datetime.datetime:
        """Time of the first crossing, UTC."""
        midnight = datetime.datetime.combine(self.first_day, datetime.time(), datetime.UTC)
        return midnight + datetime.timedelta(hours=self.node_hour)

    def revolution(self, track: int) -> int:
        """Which revolution of the cycle, from 0, flies a track.

        One revolution moves the node westwards by ``days`` tracks.
        """
        return -track * pow(self.days, -1, self.revolutions) % self.revolutions

    def sensing_time(self, track: int, day: int, lat: float, descending: bool) -> datetime.datetime:
        """When the satellite crosses a latitude on a track, in the cycle that begins on a day."""
        turn = self._argument(lat, descending) / (2.0 * math.pi)
        elapsed = (self.revolution(track) + turn) * self.days * _DAY_S / self.revolutions
        return self.epoch + datetime.timedelta(days=day, seconds=round(elapsed))

    def track_longitude(self, track: int, lat: float, descending: bool) -> float:
        """Where a track crosses a latitude, degrees in [-180, 180)."""
        lon = track * 360.0 / self.revolutions + self._drift(lat, descending)
        return (lon + 180.0) % 360.0 - 180.0

    def tracks_near(self, lon: float, lat: float, descending: bool, reach_m: float) -> list[int]:
        """Tracks that pass within a distance of a place, measured along the parallel."""
        tracks = np.arange(self.revolutions)
        longitudes = tracks * 360.0 / self.revolutions + self._drift(lat, descending)
        offset = (longitudes - lon + 180.0) % 360.0 - 180.0
        distance = np.abs(offset) * _METRES_PER_DEGREE * math.cos(math.radians(lat))
        near: NDArray[np.int64] = tracks[distance <= reach_m]
        return near.tolist()

    def swath(self, track: int, lats: tuple[float, float], descending: bool, epsg: int) -> Polygon:
        """The imaged strip between two latitudes as a parallelogram in a UTM zone."""
        ends = []
        for lat in lats:
            lon = self.track_longitude(track, lat, descending)
            middle = utm.central_meridian(epsg)
            lon = (lon - middle + 180.0) % 360.0 - 180.0 + middle
            ends.append(utm.from_lonlat(epsg, lon, _clamp(lat)))
        strip = LineString(ends).buffer(self.swath_m / 2.0, cap_style="flat")
        return Polygon(strip.exterior)

    def _argument(self, lat: float, descending: bool) -> float:
        """Angle along the orbit since the ascending node, radians."""
        ratio = math.sin(math.radians(_clamp(lat))) / math.sin(math.radians(self.inclination))
        ascent = math.asin(max(-1.0, min(1.0, ratio)))
        return math.pi - ascent if descending else ascent

    def _drift(self, lat: float, descending: bool) -> float:
        """Longitude at a latitude relative to that of the ascending node, degrees.

        Spherical trigonometry of an inclined circle, less the turn of the Earth beneath it.
        """
        argument = self._argument(lat, descending)
        tilt = math.cos(math.radians(self.inclination))
        inertial = math.atan2(tilt * math.sin(argument), math.cos(argument))
        return math.degrees(inertial - argument * self.days / self.revolutions)


def solar_position(time: datetime.datetime, lon: float, lat: float) -> tuple[float, float]:
    """Zenith and azimuth (clockwise from north) of the sun, degrees, good to about one degree.

    Source: Spencer 1971, "Fourier series representation of the position of the sun".
    """
    day_angle = 2.0 * math.pi * (time.timetuple().tm_yday - 1) / 365.0
    declination = (
        0.006918
        - 0.399912 * math.cos(day_angle)
        + 0.070257 * math.sin(day_angle)
        - 0.006758 * math.cos(2 * day_angle)
        + 0.000907 * math.sin(2 * day_angle)
    )
    hours = time.hour + time.minute / 60.0 + time.second / 3600.0
    hour_angle = math.radians((hours - 12.0) * 15.0 + lon)
    phi = math.radians(lat)
    up = math.sin(phi) * math.sin(declination)
    up += math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.cos(phi) * math.sin(declination)
    north -= math.sin(phi) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.acos(up)), math.degrees(math.atan2(east, north)) % 360.0


def _clamp(lat: float) -> float:
    return max(-_HIGHEST_LATITUDE, min(_HIGHEST_LATITUDE, lat))
