"""Hashing and value noise: the only source of chance in the simulated Earth.

Every number is a pure function of integers (a seed, a place on a lattice, a day), so that a value
does not depend on the window, the order or the process in which it is asked for.
"""

import hashlib
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW_64_BITS = 2**64 - 1
_AXES = np.array([_GOLDEN, _MIX_2, 0xD6E8FEB86659FD93], np.uint64)
_DEVIATION_OF_NOISE = 0.2003  # of uniform corner values after the fade


def stable_hash(*parts: object) -> int:
    """64-bit hash of the texts of the parts, equal in every process and on every machine."""
    text = "|".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniform(*parts: object) -> float:
    """A number in [0, 1) that belongs to the parts."""
    return stable_hash(*parts) / 2**64


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit integers so that neighbours become unrelated.

    Source: finaliser of SplitMix64, Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195.
    """
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * _MIX_1
        values = (values ^ (values >> np.uint64(27))) * _MIX_2
        return values ^ (values >> np.uint64(31))


def lattice_hash(columns: NDArray[Any], rows: NDArray[Any], salt: int) -> NDArray[np.uint64]:
    """One hash per lattice point; columns and rows are integers that broadcast together."""
    with np.errstate(over="ignore"):
        across = mix(_as_unsigned(columns) * _GOLDEN + np.uint64(salt & _LOW_64_BITS))
        return mix(across ^ (_as_unsigned(rows) * _MIX_2))


def to_unit(hashes: NDArray[np.uint64], field: int = 0) -> NDArray[np.float32]:
    """Numbers in [0, 1) from 16 of the 64 bits of each hash.

    Args:
        hashes: Output of `lattice_hash` or `mix`.
        field: Which of the four 16-bit fields to read; fields are independent of each other.
    """
    shifted = (hashes >> np.uint64(16 * field)).astype(np.uint16)
    return shifted.astype(np.float32) * np.float32(2.0**-16)


def _as_unsigned(values: NDArray[Any]) -> NDArray[np.uint64]:
    return np.asarray(values).astype(np.int64).view(np.uint64)


def value_noise(
    points: NDArray[np.float64], spacings: NDArray[np.float64], salts: NDArray[np.uint64]
) -> NDArray[np.float32]:
    """Smooth noise in space, several layers at once.

    Random values on the corners of a cubic lattice, interpolated with the quintic fade of
    Perlin 2002, "Improving Noise", doi:10.1145/566654.566636.

    Args:
        points: (3, n) Cartesian coordinates, metres.
        spacings: (layers,) lattice spacings, metres.
        salts: (layers,) what makes layers differ.

    Returns:
        (layers, n), mean 0 and standard deviation 1.
    """
    scaled = _turned(points, salts) / spacings[:, None, None]
    corner = np.floor(scaled)
    weight = _fade((scaled - corner).astype(np.float32))
    with np.errstate(over="ignore"):
        number = corner.astype(np.int64).view(np.uint64) * _AXES[:, None]
        origin = number.sum(axis=1) + salts[:, None]
        planes = []
        for x in (origin, origin + _AXES[0]):
            lines = []
            for y in (x, x + _AXES[1]):
                ends = _corner_value(y), _corner_value(y + _AXES[2])
                lines.append(_blend(*ends, weight[:, 2]))
            planes.append(_blend(lines[0], lines[1], weight[:, 1]))
    return _blend(planes[0], planes[1], weight[:, 0]) * np.float32(1.0 / _DEVIATION_OF_NOISE)


def _turned(points: NDArray[np.float64], salts: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Points rotated differently for each layer, so that lattices do not show; (layers, 3, n)."""
    x, y, z = points
    return np.stack([np.stack([a * x + b * y + c * z for a, b, c in _turn(int(s))]) for s in salts])


@lru_cache(maxsize=4096)
def _turn(salt: int) -> tuple[tuple[float, float, float], ...]:
    """Rows of a random rotation matrix (Shoemake 1992, Graphics Gems III, "Random rotations")."""
    first, second, third = (uniform("turn", salt, axis) for axis in range(3))
    inner, outer = math.sqrt(1.0 - first), math.sqrt(first)
    x, y = inner * math.sin(math.tau * second), inner * math.cos(math.tau * second)
    z, w = outer * math.sin(math.tau * third), outer * math.cos(math.tau * third)
    return (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)),
        (2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)),
        (2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)),
    )


def _corner_value(key: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Values in [-0.5, 0.5) of lattice corners."""
    hashed = key ^ (key >> np.uint64(31))
    hashed *= _MIX_1
    hashed ^= hashed >> np.uint64(29)
    hashed *= _MIX_2
    return (hashed.view(np.int64) >> np.int64(40)).astype(np.float32) * np.float32(2.0**-24)


def _blend(
    first: NDArray[np.float32], second: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    second -= first
    second *= weight
    second += first
    return second


def _fade(fraction: NDArray[np.float32]) -> NDArray[np.float32]:
    ramp = fraction.copy()
    ramp *= 6.0
    ramp -= 15.0
    ramp *= fraction
    ramp += 10.0
    return ramp * fraction * fraction * fraction
