"""The expert tiles of NoLDO-S12: Dynamic World and OSM labels with their images.

The released OSM files number their classes by the rows of the map server's legend, not as the
paper's Table I does; ``released_id`` of ``classes.csv`` translates. Mixed up, the two labels of a
tile contradict each other, so they are compared before the store counts as finished.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.importers.members import DamagedMember
from pipeline.importers.rasters import Raster
from pipeline.importers.tile_import import (
    IMPORTED_RECORDS,
    GroupForm,
    TileRelease,
    decode_backscatter,
    decode_reflectance,
    imported_reflectance,
    moved,
    only_file,
    place_facts,
)
from pipeline.importers.units import Decoded, Files, Key
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.agreement import Agreement, check_numbering, measure_agreement
from pipeline.padding import pad_image, pad_label
from pipeline.sensors import cube_bands
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.store.layout import RecordArray
from pipeline.store.shard_reader import open_chunks
from pipeline.store.tile_layout import backscatter_array, label_array

Numbering = Literal["released", "paper"]

TRAIN_PIXELS = 510
TEST_PIXELS = 512

_FILE = re.compile(r"(s1|s2|dw|osm)_(-?\d+[.p]\d+_-?\d+[.p]\d+-(\d{8})\S*)\.tif")
_SPLIT = re.compile(r"(?:^|_)(train|test)(?:_|$)")
_CLOUD = 10
"""Number of clouds in the expert labels of Dynamic World; no land cover."""

_FOREST_AND_WATER_MIN = 0.3
"""Half of what they are in the release (43.8 and 17.4 percent: CromSS README, Fig. 2)."""

_EPOCH = dt.date(1970, 1, 1)

_AGREEMENT_RECORDS: tuple[RecordArray, ...] = (
    RecordArray(
        "agreement",
        "float32",
        np.nan,
        attributes={"long_name": "share of jointly labelled pixels on which OSM and DW agree"},
    ),
    RecordArray(
        "joint_share", "float32", np.nan, attributes={"long_name": "pixels labelled in both"}
    ),
)


def noldo_tiles(subset: str, harmonise: bool, numbering: Numbering) -> TileRelease:
    """What the released tiles of ``dw`` or ``osm`` look like."""
    dynamic_world = label_array("label", "dynamic_world", "Dynamic World expert label")
    images = (imported_reflectance(harmonise), backscatter_array())
    if subset == "dw":
        forms = {
            "train": GroupForm(TRAIN_PIXELS, (*images, dynamic_world)),
            "test": GroupForm(TEST_PIXELS, (*images, dynamic_world)),
        }
    else:
        osm = label_array("label", "osm_landuse", "OSM land use")
        beside = label_array("label_dw", "dynamic_world", "Dynamic World expert label")
        records = (*IMPORTED_RECORDS, *_AGREEMENT_RECORDS)
        form = GroupForm(TEST_PIXELS, (*images, osm, beside), records, optional=("label_dw",))
        forms = {"train": form, "test": form}
    sizes = {name: form.size for name, form in forms.items()}
    return TileRelease(
        name=f"noldo_{subset}",
        title=f"NoLDO-S12, SSL4EO-S12@{subset.upper()}",
        harmonise=harmonise,
        forms=forms,
        locate=lambda name: locate_tile(name, subset),
        decode=lambda key, files: _decode(key, files, sizes[key.group], harmonise, numbering),
        choices={"subset": subset, "osm_numbering": numbering},
        inspect=partial(inspect_numbering, numbering=numbering) if subset == "osm" else None,
    )


def locate_tile(name: PurePosixPath, subset: str) -> Key | str:
    """What a file is of, from its path; the split is told by the nearest folder that names one."""
    match = _FILE.fullmatch(name.name)
    if match is None:
        return "not a tile"
    splits = [found[1] for folder in name.parts[:-1] if (found := _SPLIT.search(folder))]
    if not splits:
        return "in no folder of a split"
    kind, tile, _ = match.groups()
    labels = {"dw": {"dw": "label"}, "osm": {"osm": "label", "dw": "label_dw"}}[subset]
    part = kind if kind in ("s1", "s2") else labels.get(kind)
    return Key(splits[-1], tile, part) if part else "labels of another subset"


def translate_osm(numbers: NDArray[np.generic], numbering: Numbering) -> NDArray[np.uint8]:
    """Ids of the legend ``osm_landuse`` from the numbers of a file, where 0 is no label.

    Args:
        numbers: (y, x) integers, 0 to 13.
        numbering: ``released`` (rows of the server's legend) or ``paper`` (Table I).

    Raises:
        DamagedMember: A number outside the legend.
    """
    ids = np.full(len(load_legend("osm_landuse")) + 1, UNLABELLED, np.uint8)
    for row in load_legend("osm_landuse"):
        ids[row.released_id if numbering == "released" else row.paper_id] = row.id
    return _look_up(numbers, ids)


def translate_dynamic_world(numbers: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Ids of the legend ``dynamic_world``: 0 is unmarked, 1 to 9 are classes, 10 is cloud.

    Raises:
        DamagedMember: Another number.
    """
    ids = np.full(_CLOUD + 1, UNLABELLED, np.uint8)
    for row in load_legend("dynamic_world"):
        ids[row.released_id] = row.id
    return _look_up(numbers, ids)


def inspect_numbering(group: Path, count: int, numbering: Numbering) -> Mapping[str, Sequence[Any]]:
    """Agreement of the two labels of every tile of a filled group.

    Where no tile has labels of both kinds, the classes themselves must be plausible.

    Args:
        group: Folder of the group.
        count: Tiles in it.
        numbering: By which the labels were translated.

    Raises:
        PipelineError: This cannot be the right numbering.
    """
    osm, dynamic_world = open_chunks(group / "label"), open_chunks(group / "label_dw")
    tile, beside = np.empty(osm.item_shape, np.uint8), np.empty(osm.item_shape, np.uint8)
    other = _in_other_numbering(numbering)
    agreements: list[Agreement] = []
    agreeing_otherwise = 0
    pixels = np.zeros(256, np.int64)
    for sample in range(count):
        osm.read_into(tile, sample)
        dynamic_world.read_into(beside, sample)
        agreements.append(measure_agreement(tile, beside))
        agreeing_otherwise += measure_agreement(other[tile], beside).agreeing
        pixels += np.bincount(tile.ravel(), minlength=256)
    check_numbering(agreements, OsmLanduseSettings().plausible_agreement)
    _compare_numberings(agreements, agreeing_otherwise, numbering)
    if not any(agreement.joint for agreement in agreements):
        _check_classes(pixels[:UNLABELLED])
    return {
        "agreement": [agreement.share for agreement in agreements],
        "joint_share": [agreement.joint_share for agreement in agreements],
    }


def _in_other_numbering(numbering: Numbering) -> NDArray[np.uint8]:
    """For each id, the id it would have become by the other numbering."""
    rows = load_legend("osm_landuse")
    released = {row.released_id: row.id for row in rows}
    paper = {row.paper_id: row.id for row in rows}
    mine, other = (released, paper) if numbering == "released" else (paper, released)
    ids = np.full(256, UNLABELLED, np.uint8)
    for number, row_id in mine.items():
        ids[row_id] = other[number]
    return ids


def _compare_numberings(
    agreements: Sequence[Agreement], otherwise: int, numbering: Numbering
) -> None:
    """Refuse a numbering that explains the labels worse than the other one.

    A threshold alone does not tell: forests by the paper's number read as the released one become
    vegetated areas, which admit trees too.
    """
    joint = sum(agreement.joint for agreement in agreements)
    agreeing = sum(agreement.agreeing for agreement in agreements)
    if otherwise > agreeing:
        raise PipelineError(
            f"OSM and Dynamic World agree on {agreeing / joint:.1%} of {joint} pixels in the "
            f"numbering {numbering!r} and on {otherwise / joint:.1%} in the other; is this the "
            "released numbering (--osm-numbering)?"
        )


def _check_classes(pixels: NDArray[np.int64]) -> None:
    ids = {row.name: row.id for row in load_legend("osm_landuse")}
    share = (pixels[ids["Forests"]] + pixels[ids["Water bodies"]]) / max(pixels.sum(), 1)
    if share < _FOREST_AND_WATER_MIN:
        raise PipelineError(
            f"forests and water are {share:.1%} of the OSM labels, 61% in the release, and "
            "no Dynamic World labels lie beside them to check the numbering (label_dw/dw_*.tif); "
            "is this the released numbering of the OSM classes (--osm-numbering)?"
        )


def _decode(key: Key, files: Files, size: int, harmonise: bool, numbering: Numbering) -> Decoded:
    raster = only_file(files)
    margin = _margin(raster, size)
    place = moved(raster.place, margin)
    facts = place_facts(place, (size, size)) | {"label_date": _label_date(key.sample_id)}
    if margin:
        facts["notes"] = [f"{size - 2 * margin} pixels, padded to {size}"]
    if key.part == "s1":
        return Decoded({"s1": _padded_backscatter(decode_backscatter(raster), size)}, facts)
    if key.part == "s2":
        order = range(len(cube_bands("sentinel-2")))
        cube, offset = decode_reflectance(raster, order, harmonise, key.sample_id)
        return Decoded({"s2": pad_image(cube, "zero", size)}, facts | {"s2_offset": offset})
    label = _labels(next(iter(files)), raster, numbering)
    return Decoded({key.part: pad_label(label, size)}, facts)


def _labels(name: PurePosixPath, raster: Raster, numbering: Numbering) -> NDArray[np.uint8]:
    """Ids of a file of labels; of several bands the second counts, as in the authors' code."""
    numbers = raster.values[min(1, len(raster.values) - 1)]
    if name.name.startswith("osm_"):
        return translate_osm(numbers, numbering)
    return translate_dynamic_world(numbers)


def _margin(raster: Raster, size: int) -> int:
    rows, columns = raster.values.shape[-2:]
    if rows != columns or rows not in (size, size - 2):
        raise DamagedMember(f"{rows} x {columns} pixels, expected {size} or {size - 2}")
    return (size - rows) // 2


def _padded_backscatter(values: NDArray[np.int16], size: int) -> NDArray[np.int16]:
    """Padded with 0 dB, which is what the authors' networks saw at the border of zeros."""
    return pad_image(values, "zero", size)


def _look_up(numbers: NDArray[np.generic], ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if numbers.dtype.kind not in "iu":
        raise DamagedMember(f"labels of type {numbers.dtype}")
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high >= len(ids):
        wrong = low if low < 0 else high
        raise DamagedMember(f"label {wrong}, expected 0 to {len(ids) - 1}")
    translated: NDArray[np.uint8] = ids[numbers.astype(np.intp)]
    return translated


def _label_date(tile: str) -> int:
    match = _FILE.fullmatch(f"dw_{tile}.tif")
    try:
        day = dt.datetime.strptime(match[3] if match else "", "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        raise DamagedMember(f"no date in the name {tile}") from None
    return (day - _EPOCH).days
