"""Hashing and value noise: the only source of chance in the simulated Earth.

Every number is a pure function of integers (a seed, a place on a lattice, a day), so that a value
does not depend on the window, the order or the process in which it is asked for.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW_64_BITS = 2**64 - 1


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
