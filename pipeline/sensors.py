"""The bands of the two sensors: which array of the store holds each of them, and where."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Band:
    """One row of ``bands.csv``.

    Attributes:
        sensor: ``sentinel-1`` or ``sentinel-2``.
        name: Earth Engine's name of the band, e.g. ``B8A`` or ``VV``.
        wavelength_nm: Centre, nanometres.
        bandwidth_nm: Width, nanometres; None where the table gives none.
        resolution_m: Native pixel size in the product, metres.
        array: The array of the store that holds it.
        position: Index along the band axis of that array.
        cube_position: Index along the band axis of the sensor's 10 m cube.
        source: Where the figures come from.
    """

    sensor: str
    name: str
    wavelength_nm: float
    bandwidth_nm: float | None
    resolution_m: int
    array: str
    position: int
    cube_position: int
    source: str


@cache
def all_bands() -> tuple[Band, ...]:
    """Every band, Sentinel-2 first, each sensor in the order of its cube."""
    table = files("pipeline").joinpath("bands.csv").read_text(encoding="utf-8")
    return tuple(_band(row) for row in csv.DictReader(table.splitlines()))


def bands_of(array: str) -> tuple[Band, ...]:
    """The bands along the band axis of an array such as ``s2_20m``, in order.

    Raises:
        KeyError: No band lies in an array of that name.
    """
    found = [band for band in all_bands() if band.array == array]
    if not found:
        raise KeyError(f"no band of bands.csv lies in {array!r}")
    return tuple(sorted(found, key=lambda band: band.position))


def cube_bands(sensor: str) -> tuple[Band, ...]:
    """The bands of ``sentinel-1`` or ``sentinel-2`` in the order of the 10 m cube.

    Raises:
        KeyError: The sensor is not in the table.
    """
    found = [band for band in all_bands() if band.sensor == sensor]
    if not found:
        raise KeyError(f"no sensor {sensor!r} in bands.csv")
    return tuple(sorted(found, key=lambda band: band.cube_position))


def _band(row: dict[str, str]) -> Band:
    return Band(
        sensor=row["sensor"],
        name=row["name"],
        wavelength_nm=float(row["wavelength_nm"]),
        bandwidth_nm=float(row["bandwidth_nm"]) if row["bandwidth_nm"] else None,
        resolution_m=int(row["resolution_m"]),
        array=row["array"],
        position=int(row["position"]),
        cube_position=int(row["cube_position"]),
        source=row["source"],
    )
