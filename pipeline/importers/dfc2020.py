"""Imports DFC2020: ``python -m pipeline.importers.dfc2020``.

Files ``ROIs0000_<split>_<s1|s2|dfc>_0_p<n>.tif`` of 256 pixels, in any folder or archive. The
released ``validation`` patches train and the ``test`` patches test, as in the CromSS paper; labels
are the eight classes of its code, and what that code does not know is no label.

Source: https://github.com/zhu-xlab/CromSS, ``write_data_to_lmdb.py``.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import run_step
from pipeline.importers.benchmark_classes import benchmark_classes, flag_attributes
from pipeline.importers.members import DamagedMember
from pipeline.importers.tile_import import (
    GroupForm,
    TileRelease,
    decode_backscatter,
    decode_reflectance,
    imported_reflectance,
    only_file,
    place_facts,
    run_tile_import,
)
from pipeline.importers.units import Decoded, Files, Key
from pipeline.legend import UNLABELLED
from pipeline.sensors import cube_bands
from pipeline.store.layout import LABEL_CODECS
from pipeline.store.tile_layout import (
    TILES_PER_SHARD,
    TileArray,
    backscatter_array,
)

PATCH_PIXELS = 256
_FILE = re.compile(r"ROIs\d{4}_(test|validation)_(s1|s2|dfc)_(\d+_p\d+)\.tif")
_GROUPS = {"validation": "train", "test": "test"}
_PARTS = {"s1": "s1", "s2": "s2", "dfc": "label"}


def dfc2020_release(harmonise: bool) -> TileRelease:
    """What the published dataset looks like."""
    label = TileArray(
        name="label",
        dtype="uint8",
        nodata=UNLABELLED,
        codecs=LABEL_CODECS,
        attributes={"long_name": "land cover, eight classes", "_FillValue": UNLABELLED}
        | flag_attributes("dfc2020"),
    )
    form = GroupForm(PATCH_PIXELS, (imported_reflectance(harmonise), backscatter_array(), label))
    return TileRelease(
        name="dfc2020",
        title="DFC2020",
        harmonise=harmonise,
        forms={"train": form, "test": form},
        locate=locate_patch,
        decode=lambda key, files: decode_patch(key, files, harmonise),
    )


def locate_patch(name: PurePosixPath) -> Key | str:
    """What a file is of, from its name."""
    match = _FILE.fullmatch(name.name)
    if match is None:
        return "not a patch"
    split, kind, patch = match.groups()
    return Key(_GROUPS[split], f"{split}_{patch}", _PARTS[kind])


def decode_patch(key: Key, files: Files, harmonise: bool) -> Decoded:
    """The arrays of one file.

    Raises:
        DamagedMember: It is not what its name says.
    """
    raster = only_file(files)
    facts = place_facts(raster.place, raster.values.shape) | {"split": key.sample_id.split("_")[0]}
    if key.part == "s1":
        return Decoded({"s1": decode_backscatter(raster)}, facts)
    if key.part == "label":
        return Decoded({"label": translate_labels(raster.values)}, facts)
    order = range(len(cube_bands("sentinel-2")))
    cube, offset = decode_reflectance(raster, order, harmonise, key.sample_id)
    return Decoded({"s2": cube}, facts | {"s2_offset": offset})


def translate_labels(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Our ids of the released numbers; savanna, snow and anything unknown become 255.

    Args:
        values: (bands, y, x) as released; the first band is the high-resolution label.

    Raises:
        DamagedMember: No integers.
    """
    if values.dtype.kind not in "iu":
        raise DamagedMember(f"labels of type {values.dtype}")
    label = np.full(values.shape[1:], UNLABELLED, np.uint8)
    for row in benchmark_classes("dfc2020"):
        label[values[0] == row.released_id] = row.id
    return label


def main(arguments: Sequence[str] | None = None) -> None:
    """Import from the command line."""
    run_tile_import("dfc2020", __doc__, TILES_PER_SHARD, dfc2020_release, arguments)


if __name__ == "__main__":
    run_step(main)
