"""SSL4EO-S12 v1.1: ``<split>/<modality>/*.zarr.zip`` of 64 samples, all bands resampled to 10 m.

Its Sentinel-2 values carry the radiometric offset (its statistics are those of v1.0 plus 1000 in
every band), which is told scene by scene. Coordinates are taken as pixel centres.

Source: https://github.com/DLR-MF-DAS/SSL4EO-S12-v1.1, README.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.importers.backscatter import to_hundredths
from pipeline.importers.inventory import Inventory
from pipeline.importers.members import DamagedMember, Refusal, printable
from pipeline.importers.offset import OFFSET, detect_offset, remove_offset, split_cube
from pipeline.importers.scenes import in_order_of_time, sensing_time
from pipeline.importers.units import Decoded, Key, Unit
from pipeline.importers.zarr_v2 import ZippedGroup
from pipeline.sensors import cube_bands
from pipeline.settings.dataset import SEASONS

_MODALITIES = {"S2L1C": "s2", "S1GRD": "s1"}
_SPLITS = {"val": "validation", "train": "train"}
_SUFFIX = ".zarr.zip"


def find_cubes(source: Path) -> list[Path]:
    """The ``.zarr.zip`` files below a folder, in order; links are not followed."""
    if source.is_file():
        return [source] if source.name.endswith(_SUFFIX) else []
    found = sorted(source.rglob(f"*{_SUFFIX}"), key=lambda path: (path.name, path.as_posix()))
    return [path for path in found if path.is_file() and not path.is_symlink()]


def take_stock_of_cubes(paths: list[Path]) -> Inventory:
    """Which samples the files hold."""
    inventory = Inventory()
    keys: list[Key | str] = []
    for path in paths:
        part = _part(path)
        if part is None:
            keys.append(f"modality {printable(path.parent.name)}, which the store does not hold")
            continue
        try:
            with ZippedGroup(path) as group:
                inventory.refusals += [
                    Refusal(path.name, printable(name), reason)
                    for name, reason in sorted(group.refusals().items())
                ]
                keys += [Key("", sample, part) for sample in _sample_ids(group)]
        except DamagedMember as error:
            inventory.refusals.append(Refusal(path.name, path.name, str(error)))
    inventory.add(keys)
    return inventory


def patch_pixels(paths: list[Path]) -> int:
    """Rows and columns of the patches, from the first readable file.

    Raises:
        PipelineError: None of the files is readable.
    """
    for path in paths:
        try:
            with ZippedGroup(path) as group:
                return group.array("bands").shape[-1]
        except DamagedMember:
            continue
    raise PipelineError(f"none of the {len(paths)} .zarr.zip files can be read; download them anew")


def cube_units(paths: list[Path], harmonise: bool, wanted: Callable[[Key], bool]) -> Iterator[Unit]:
    """Every sample of every file that is still wanted."""
    for path in paths:
        part = _part(path)
        if part is None:
            continue
        try:
            with ZippedGroup(path) as group:
                for position, sample in enumerate(_sample_ids(group)):
                    key = Key("", sample, part)
                    if wanted(key):
                        split = _split(path)
                        yield Unit(key, partial(_decode, group, position, part, split, harmonise))
        except DamagedMember:
            continue  # reported when stock was taken


def _part(path: Path) -> str | None:
    return _MODALITIES.get(path.parent.name)


def _split(path: Path) -> str:
    return _SPLITS.get(path.parent.parent.name, "train")


def _sample_ids(group: ZippedGroup) -> list[str]:
    return [str(name) for name in group.array("sample").read()]


def _decode(group: ZippedGroup, position: int, part: str, split: str, harmonise: bool) -> Decoded:
    bands = group.array("bands")
    if len(bands.shape) != 5 or bands.shape[1] != SEASONS or not 0 <= position < bands.shape[0]:
        raise DamagedMember(f"bands of shape {bands.shape}")
    scenes = [str(name) for name in group.array("file_id").read(position)]
    ordered = in_order_of_time(scenes)
    order = _band_order(group, part)
    seasons = [bands.read(position, scenes.index(scene))[order] for scene in ordered]
    facts: dict[str, Any] = {
        "scenes": ordered + [""] * (SEASONS - len(ordered)),
        "times": [sensing_time(scene) for scene in ordered] + [0] * (SEASONS - len(ordered)),
        "split": split,
    }
    if not all(facts["times"][: len(ordered)]):
        raise DamagedMember(f"names that are of no scene: {', '.join(map(printable, scenes))}")
    if part == "s1":
        backscatter = np.stack([to_hundredths(season.astype(np.float32)) for season in seasons])
        place = _place(group, position)
        grid = {f"s1_{name}": place[name] for name in ("left", "top", "x_step", "y_step")}
        return Decoded({"s1": backscatter}, facts | grid)
    cubes, offsets = _reflectance(seasons, ordered, harmonise)
    return Decoded({"s2": cubes}, facts | _place(group, position) | {"offsets": offsets})


def _reflectance(
    seasons: list[NDArray[Any]], scenes: list[str], harmonise: bool
) -> tuple[NDArray[np.uint16], list[int]]:
    cubes, offsets = [], []
    for season, scene in zip(seasons, scenes, strict=True):
        if season.dtype.kind == "f" or season.min() < 0:
            raise DamagedMember(f"{scene}: {season.dtype} with {season.min()}, no digital numbers")
        cube = season.astype(np.uint16)
        offset = detect_offset(split_cube(cube), scene)
        offsets.append(offset)
        cubes.append(remove_offset(cube) if harmonise and offset == OFFSET else cube)
    return np.stack(cubes), offsets


def _band_order(group: ZippedGroup, part: str) -> list[int]:
    """Positions of our bands in the file, by name: ``B01`` is ``B1``, ``vv`` is ``VV``."""
    names = [str(name).upper().replace("B0", "B") for name in group.array("band").read()]
    wanted = [band.name for band in cube_bands("sentinel-2" if part == "s2" else "sentinel-1")]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DamagedMember(f"lacks the bands {', '.join(missing)}")
    return [names.index(name) for name in wanted]


def _place(group: ZippedGroup, position: int) -> dict[str, Any]:
    """The grid of a sample, from the centres of its pixels."""
    x, y = group.array("x_").read(position), group.array("y_").read(position)
    x_step, y_step = float(x[1] - x[0]), float(y[1] - y[0])
    left, top = float(x[0]) - x_step / 2, float(y[0]) - y_step / 2
    edges = {f"left{suffix}": left for suffix in ("", "_20m", "_60m")}
    edges |= {f"top{suffix}": top for suffix in ("", "_20m", "_60m")}
    return {
        **edges,
        "epsg": int(group.array("crs").read(position)),
        "x_step": x_step,
        "y_step": y_step,
        "centre": [left + len(x) / 2 * x_step, top + len(y) / 2 * y_step],
    }
