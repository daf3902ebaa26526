"""Height, slope and climate of the simulated land, and its waters, at the nodes of a sheet."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.fields import Fields
from pipeline.simulator.sheets import NodeLattice

Plane = NDArray[np.float32]
"""(rows, columns) at the nodes of a lattice."""

LAPSE_RATE = 0.0065
"""Cooling with height, kelvin per metre: ISO 2533 standard atmosphere."""

_SEA_THRESHOLD = 2.05
_LONGEST_RIVER_DISTANCE_M = 3_000.0


@dataclass(frozen=True, eq=False)
class Terrain:
    """What the ground is like before anything grows or is built on it.

    Attributes:
        mountain: 0 in plains, 1 in the heart of a mountain belt.
        height: Metres above the sea.
        east: Slope eastwards, metres per metre.
        north: Slope northwards.
        temperature: Annual mean of the air, degrees Celsius.
        moisture: 0 desert, 1 rain forest.
        still_water: Positive in lakes and the sea, about 1 per 500 m of distance to the shore.
        river: Distance from the middle of the nearest river in half widths; signed by bank.
        creek: The same for creeks, in metres.
    """

    mountain: Plane
    height: Plane
    east: Plane
    north: Plane
    temperature: Plane
    moisture: Plane
    still_water: Plane
    river: Plane
    creek: Plane

    @property
    def slope(self) -> Plane:
        """Steepness, metres per metre."""
        return np.sqrt(self.east**2 + self.north**2)


def make_terrain(fields: Fields, nodes: NodeLattice) -> Terrain:
    """Terrain, climate and waters from the smooth fields."""
    mountain = smoothstep(fields["relief"], 0.5, 1.7)
    river_metres = _distance_to_zero(fields["river"], nodes)
    height = _height(fields, mountain, river_metres)
    east, north = nodes.slope(height)
    lat = nodes.lat.astype(np.float32)[:, None]
    half_width = _river_half_width(fields, mountain)
    return Terrain(
        mountain=mountain,
        height=height,
        east=east,
        north=north,
        temperature=sea_level_temperature(lat) - np.float32(LAPSE_RATE) * height,
        moisture=_moisture(fields, lat, mountain),
        still_water=_still_water(fields, mountain),
        river=river_metres / half_width,
        creek=_distance_to_zero(fields["creek"], nodes),
    )


def sea_level_temperature(lat: Plane) -> Plane:
    """Annual mean at sea level, degrees Celsius: about 27 at the equator, 9 at 52, 0 at 63 degrees.

    A parabola through the zonal means of Hartmann 2016, "Global Physical Climatology", figure 2.4.
    """
    return 27.5 - np.float32(0.0068) * lat * lat


def smoothstep(values: Plane, low: float, high: float) -> Plane:
    """0 below ``low``, 1 above ``high``, a smooth ramp between."""
    ramp = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def _height(fields: Fields, mountain: Plane, river_metres: Plane) -> Plane:
    """Ridged mountains on rolling plains; rivers have cut valleys."""
    large, medium, small, fine, tiny = (
        np.maximum(0.0, 1.0 - np.abs(fields[name]) * np.float32(0.62))
        for name in ("ridge_large", "ridge_medium", "ridge_small", "ridge_fine", "ridge_tiny")
    )
    peaks = 1500.0 * large**2 + 800.0 * large * medium**2 + 330.0 * medium * small**2 + 500.0
    peaks += 130.0 * small * fine**2 + 36.0 * (0.4 + small) * tiny
    plains = 90.0 + 90.0 * np.maximum(0.0, fields["relief"] + 1.2)
    rolling = (12.0 + 55.0 * smoothstep(fields["relief"], -1.0, 1.2)) * fields["hills"]
    valley = np.exp(-((river_metres / 900.0) ** 2))
    carved = (mountain * peaks + rolling) * (1.0 - 0.7 * valley)
    shore = smoothstep(np.float32(_SEA_THRESHOLD) - fields["sea"], 0.0, 0.35)
    return (plains + carved) * shore


def _moisture(fields: Fields, lat: Plane, mountain: Plane) -> Plane:
    """Dry subtropics, humid tropics, and much chance."""
    belt = np.abs(lat)
    zonal = 0.14 * np.exp(-((belt / 11.0) ** 2)) - 0.17 * np.exp(-(((belt - 24.0) / 8.0) ** 2))
    return 0.53 + zonal + np.float32(0.155) * fields["moisture"] + np.float32(0.06) * mountain


def _still_water(fields: Fields, mountain: Plane) -> Plane:
    sea = (fields["sea"] - np.float32(_SEA_THRESHOLD)) * 12.0
    rarity = 2.35 - 0.55 * smoothstep(fields["lakeland"], 0.2, 1.6) + 0.8 * mountain
    return np.maximum(sea, fields["lakes"] - rarity)


def _river_half_width(fields: Fields, mountain: Plane) -> Plane:
    """8 to about 150 m; torrents are narrow."""
    wide = 26.0 * np.exp(np.float32(0.75) * fields["river_size"])
    return np.clip(wide * (1.0 - 0.7 * mountain), 8.0, 160.0)


def _distance_to_zero(field: Plane, nodes: NodeLattice) -> Plane:
    """Signed distance to the zero line of a field, first order, metres."""
    east, north = nodes.slope(field)
    steepness = np.sqrt(east * east + north * north)
    limit = np.float32(_LONGEST_RIVER_DISTANCE_M)
    return np.clip(field / np.maximum(steepness, np.float32(4e-5)), -limit, limit)
