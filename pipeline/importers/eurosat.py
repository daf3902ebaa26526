"""Imports EuroSAT: ``python -m pipeline.importers.eurosat``.

Patches ``<class>/<class>_<n>.tif`` of 64 pixels and 13 bands, of which B8A comes last and is put
back behind B8. The class is one of the scene, not of its pixels, so it is a record of the sample
(``scene_class``) and there is no array of labels. EuroSAT has no splits of its own: a fifth of the
patches, told by a hash of their names, is the test group.

Source: Helber et al. 2019, https://github.com/phelber/EuroSAT.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.errors import run_step
from pipeline.importers.benchmark_classes import benchmark_classes, flag_attributes
from pipeline.importers.members import DamagedMember
from pipeline.importers.tile_import import (
    IMPORTED_RECORDS,
    GroupForm,
    TileRelease,
    decode_reflectance,
    imported_reflectance,
    only_file,
    place_facts,
    run_tile_import,
)
from pipeline.importers.units import Decoded, Files, Key
from pipeline.legend import UNLABELLED
from pipeline.sensors import cube_bands
from pipeline.store.layout import RecordArray

PATCH_PIXELS = 64
SHARD_SIZE = 512
_TEST_SHARE = 0.2
_FILE = re.compile(r"([A-Za-z]+)_\d+\.tif")
_LAST_BAND = "B8A"

_SCENE_CLASS = RecordArray(
    "scene_class",
    "uint8",
    UNLABELLED,
    attributes={"long_name": "class of the scene"} | flag_attributes("eurosat"),
)


def eurosat_release(harmonise: bool) -> TileRelease:
    """What the published dataset looks like."""
    arrays = (imported_reflectance(harmonise),)
    form = GroupForm(PATCH_PIXELS, arrays, (*IMPORTED_RECORDS, _SCENE_CLASS))
    return TileRelease(
        name="eurosat",
        title="EuroSAT",
        harmonise=harmonise,
        forms={"train": form, "test": form},
        locate=locate_patch,
        decode=lambda key, files: decode_patch(key, files, harmonise),
        attributes={"split_rule": f"test: SHA-256 of the file name below {_TEST_SHARE}; ours"},
    )


def locate_patch(name: PurePosixPath) -> Key | str:
    """What a file is of, from its name."""
    match = _FILE.fullmatch(name.name)
    if match is None or match[1] not in _class_ids():
        return "not a patch"
    draw = int.from_bytes(hashlib.sha256(name.stem.encode()).digest()[:8], "big") / 2**64
    return Key("test" if draw < _TEST_SHARE else "train", name.stem, "s2")


def decode_patch(key: Key, files: Files, harmonise: bool) -> Decoded:
    """The cube of one patch, its bands in our order.

    Raises:
        DamagedMember: It is not what its name says.
    """
    raster = only_file(files)
    released = released_band_order()
    named = [re.sub(r"^B0", "B", name) for name in raster.band_names]
    if any(named) and named != released:
        raise DamagedMember(f"bands {', '.join(named)}, expected {', '.join(released)}")
    order = [released.index(band.name) for band in cube_bands("sentinel-2")]
    cube, offset = decode_reflectance(raster, order, harmonise, key.sample_id)
    facts = place_facts(raster.place, cube.shape) | {"s2_offset": offset}
    class_name = key.sample_id.rsplit("_", 1)[0]
    return Decoded({"s2": cube}, facts | {"scene_class": _class_ids()[class_name]})


def released_band_order() -> list[str]:
    """Names of the bands in a released file: B8A last."""
    names = [band.name for band in cube_bands("sentinel-2")]
    return [name for name in names if name != _LAST_BAND] + [_LAST_BAND]


def _class_ids() -> dict[str, int]:
    return {row.name: row.id for row in benchmark_classes("eurosat")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Import from the command line."""
    run_tile_import("eurosat", __doc__, SHARD_SIZE, eurosat_release, arguments)


if __name__ == "__main__":
    run_step(main)
