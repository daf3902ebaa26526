"""The defects that are planted: what goes wrong with rasters, bands, units and classes."""

import numpy as np
from scipy import ndimage

from pipeline.legend import UNLABELLED, load_legend
from pipeline.sensors import bands_of, cube_bands
from tests.benchmarks.planted_defects import (
    EVERYWHERE,
    ONE_SEASON,
    SINGLE_SCENES,
    Change,
    Defect,
    Extent,
    Image,
    InStoredBytes,
)

OPTICAL = ("s2_10m", "s2_20m", "s2_60m")
DW = {row.flag_meaning: row.id for row in load_legend("dynamic_world")}
OSM = {row.flag_meaning: row.id for row in load_legend("osm_landuse")}


def shifted(pixels: int, bands: tuple[int, ...] = ()) -> Change:
    """Moved to the east; of some bands only, if positions are given."""

    def change(image: Image, _: Image) -> Image:
        moved = np.roll(image, pixels, axis=-1)
        if not bands:
            return moved
        kept = image.copy()
        kept[list(bands)] = moved[list(bands)]
        return kept

    return change


def half_a_pixel(image: Image, _: Image) -> Image:
    """Moved to the east by half a pixel, between which it is interpolated."""
    steps = (*(0,) * (image.ndim - 1), 0.5)
    return ndimage.shift(image.astype(np.float32), steps, order=1, mode="nearest")


def exchanged(array: str, one: str, other: str) -> Change:
    """Two bands in each other's place."""
    places = [positions(array)[name] for name in (one, other)]

    def change(image: Image, _: Image) -> Image:
        mixed = image.copy()
        mixed[places] = image[places[::-1]]
        return mixed

    return change


def raised(array: str = "", band: str = "") -> Change:
    """The offset of processing baseline 04.00 left in, in all bands or in one."""

    def change(image: Image, _: Image) -> Image:
        higher = np.where(image == 0, 0, image + 1000)
        if not band:
            return higher
        kept = image.copy()
        kept[positions(array)[band]] = higher[positions(array)[band]]
        return kept

    return change


def multiplied(factor: float) -> Change:
    """Another unit."""
    return lambda image, _: np.rint(image * factor)


def as_power(image: Image, _: Image) -> Image:
    """Backscatter as a power ratio x 10000 instead of hundredths of dB."""
    return np.clip(np.rint(10_000 * 10.0 ** (image / 1000.0)), 0, 32_767)


def upside_down(image: Image, _: Image) -> Image:
    """The first row last."""
    return image[..., ::-1, :]


def transposed(image: Image, _: Image) -> Image:
    """Rows as columns."""
    return np.swapaxes(image, -2, -1)


def flipped_bit(chunk: bytes) -> bytes:
    """One bit in the middle."""
    flipped = bytearray(chunk)
    flipped[len(chunk) // 2] ^= 8
    return bytes(flipped)


def of_the_next_sample(_: Image, other: Image) -> Image:
    """The pixels of another place."""
    return other


def relabelled(legend: dict[str, int], *pairs: tuple[str, str]) -> Change:
    """Classes in each other's place."""
    table = np.arange(256, dtype=np.uint8)
    for one, other in pairs:
        table[[legend[one], legend[other]]] = legend[other], legend[one]
    return lambda image, _: table[image]


def counted_from_one(classes: int) -> Change:
    """Ids one higher; the last class becomes the first, so that all ids are in the legend."""

    def change(image: Image, _: Image) -> Image:
        return np.where(image == UNLABELLED, UNLABELLED, (image + 1) % classes)

    return change


def positions(array: str) -> dict[str, int]:
    """Places of the bands along the axis of an array."""
    if array == "s1":
        return {"VV": 0, "VH": 1}
    bands = cube_bands("sentinel-2") if array == "s2" else bands_of(array)
    return {band.name: place for place, band in enumerate(bands)}


def _shifts(store: str, arrays: tuple[str, ...], extent: Extent = EVERYWHERE) -> list[Defect]:
    return [
        Defect(store, f"`{name}` lies one pixel to the east", (name,), shifted(1), extent)
        for name in arrays
    ]


def _exchanges(
    store: str, array: str, pairs: str, extent: Extent = EVERYWHERE, alike: bool = False
) -> list[Defect]:
    return [
        Defect(
            store,
            f"{one} and {other} exchanged",
            (array,),
            exchanged(array, one, other),
            extent,
            alike,
        )
        for one, other in (pair.split("-") for pair in pairs.split())
    ]


def _relabellings(
    store: str, pairs: str, extent: Extent = EVERYWHERE, alike: bool = False
) -> list[Defect]:
    legend = OSM if store == "osm" else DW
    return [
        Defect(
            store,
            f"classes {one} and {other} exchanged".replace("_", " "),
            ("label",),
            relabelled(legend, (one, other)),
            extent,
            alike,
        )
        for one, other in (pair.split("-") for pair in pairs.split())
    ]


def _flipped_bits(store: str, arrays: tuple[str, ...]) -> list[Defect]:
    change = InStoredBytes(flipped_bit)
    return [
        Defect(store, f"a flipped bit in a chunk of `{name}`", (name,), change, SINGLE_SCENES)
        for name in arrays
    ]


DEFECTS: tuple[Defect, ...] = (
    *_flipped_bits("nol", ("s2_60m", "s1", "label")),
    *_flipped_bits("dw", ("s2", "label")),
    *_shifts("nol", (*OPTICAL, "s1", "label")),
    *_shifts("nol", ("s1", "label"), ONE_SEASON),
    *_shifts("nol", OPTICAL, SINGLE_SCENES),
    Defect("nol", "B4 lies one pixel to the east", ("s2_10m",), shifted(1, (2,))),
    Defect("nol", "B11 lies one pixel to the east", ("s2_20m",), shifted(1, (4,)), SINGLE_SCENES),
    Defect("nol", "`s2_20m` lies half a pixel (10 m) to the east", ("s2_20m",), half_a_pixel),
    Defect("nol", "`s1` lies 20 pixels to the east", ("s1",), shifted(20)),
    Defect("nol", "`label` upside down", ("label",), upside_down),
    Defect("nol", "`s1` transposed", ("s1",), transposed),
    Defect("nol", "`s1` of the next sample", ("s1",), of_the_next_sample),
    Defect("nol", "`s1` of the next sample", ("s1",), of_the_next_sample, ONE_SEASON),
    Defect("nol", "`label` of the next sample", ("label",), of_the_next_sample),
    Defect("nol", "`s2_20m` of the next sample", ("s2_20m",), of_the_next_sample, SINGLE_SCENES),
    *_exchanges("nol", "s2_10m", "B2-B3 B2-B4 B3-B4 B4-B8"),
    *_exchanges("nol", "s2_20m", "B5-B6 B6-B7 B7-B8A B11-B12"),
    *_exchanges("nol", "s2_60m", "B1-B9 B9-B10"),
    *_exchanges("nol", "s1", "VV-VH"),
    *_exchanges("nol", "s2_10m", "B2-B4", SINGLE_SCENES),
    *_exchanges("nol", "s1", "VV-VH", SINGLE_SCENES),
    Defect("nol", "+1000 in all bands", OPTICAL, raised()),
    Defect("nol", "+1000 in all bands", OPTICAL, raised(), SINGLE_SCENES),
    Defect("nol", "+1000 in `s2_20m`", ("s2_20m",), raised()),
    Defect("nol", "+1000 in B8", ("s2_10m",), raised("s2_10m", "B8")),
    Defect("nol", "reflectance x 1000", OPTICAL, multiplied(0.1)),
    Defect("nol", "backscatter as power", ("s1",), as_power),
    Defect("nol", "backscatter in tenths of dB", ("s1",), multiplied(0.1)),
    Defect("nol", "class ids counted from 1", ("label",), counted_from_one(len(DW))),
    *_relabellings("nol", "water-trees grass-built"),
    *_relabellings("nol", "trees-crops crops-shrub_and_scrub", alike=True),
    *_relabellings("nol", "water-trees", SINGLE_SCENES),
    *_relabellings("nol", "trees-crops", SINGLE_SCENES, alike=True),
    *_shifts("dw", ("s2", "s1", "label")),
    *_exchanges("dw", "s2", "B2-B4 B4-B8 B11-B12"),
    *_exchanges("dw", "s2", "B7-B8", alike=True),
    *_exchanges("dw", "s1", "VV-VH"),
    Defect("dw", "+1000 in all bands", ("s2",), raised()),
    Defect("dw", "class ids counted from 1", ("label",), counted_from_one(len(DW))),
    *_relabellings("dw", "water-trees"),
    *_relabellings("dw", "trees-crops", alike=True),
    *_shifts("osm", ("label", "label_dw")),
    Defect("osm", "class ids counted from 1", ("label",), counted_from_one(len(OSM))),
    *_relabellings("osm", "urban_fabric-forests arable_land-forests pastures-arable_land"),
)
