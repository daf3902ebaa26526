"""Reflectance of a foreign source as our stores hold it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.members import DamagedMember
from pipeline.importers.offset import OFFSET, detect_offset, remove_offset, split_cube

AS_PUBLISHED = "as published: reflectance x 10000, plus s2_offset where that is known; 0 is no data"
"""Attribute ``comment`` of arrays whose radiometric offset was not removed."""

_LARGEST_NUMBER = np.iinfo(np.uint16).max


def s2_values(harmonise: bool) -> str:
    """What a store says of its Sentinel-2 values, in the attribute ``s2_values``."""
    return "harmonised to processing baseline 02" if harmonise else "as published"


def digital_numbers(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Reflectance x 10000 as uint16.

    Args:
        values: As released, of any type that can hold the numbers.

    Raises:
        DamagedMember: They are something else, such as the 8-bit edition of SSL4EO-S12, whose unit
            differs from band to band.
    """
    if values.dtype.itemsize == 1:
        raise DamagedMember(f"{values.dtype}, an 8-bit edition; import the 16-bit one")
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= _LARGEST_NUMBER:
        raise DamagedMember(f"values {low} to {high}, no digital numbers")
    if values.dtype.kind == "f" and np.any(values % 1):
        raise DamagedMember("fractions, no digital numbers")
    return values.astype(np.uint16)


def without_offset(
    cube: NDArray[np.uint16], scene: str, harmonise: bool
) -> tuple[NDArray[np.uint16], int]:
    """A (13, y, x) cube in our order of bands, and the radiometric offset it had.

    Args:
        cube: Digital numbers.
        scene: Name of the scene or file.
        harmonise: Remove the offset where there is one.
    """
    offset = detect_offset(split_cube(cube), scene)
    return (remove_offset(cube) if harmonise and offset == OFFSET else cube), offset
