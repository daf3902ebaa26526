"""SSL4EO-S12 v1.1: zipped Zarr groups in which all bands are resampled to 10 m.

Two editions are published:

- ``<split>/<modality>/*.zarr.zip`` of 64 samples each, ``embed2scale/SSL4EO-S12-v1.1-Zarr``. To its
  Sentinel-2 values 1000 was added, pixels without data included.
- ``<split>/<modality>/ssl4eos12_shard_<n>.tar`` of one ``<key>.zarr.zip`` per sample,
  ``embed2scale/SSL4EO-S12-v1.1`` since February 2026, without that offset.

Scenes are put in the order of their time: those of Sentinel-1 in the first edition are in none.
Coordinates are taken as pixel centres.

Source: https://github.com/DLR-MF-DAS/SSL4EO-S12-v1.1, README, ``zarr_dataset.py`` and
``ssl4eos12_dataset.py``.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.importers.archives import iterate_members, reported_before
from pipeline.importers.inventory import Inventory
from pipeline.importers.members import DamagedMember, Member, Refusal, printable
from pipeline.importers.ssl4eo_cube import decode_cube, text_of
from pipeline.importers.units import Decoded, Key, Unit, Wanted
from pipeline.importers.zarr_v2 import ZippedGroup
from pipeline.progress import told

_MODALITIES = {"S2L1C": "s2", "S1GRD": "s1"}
_SPLITS = {"val": "validation", "train": "train"}
_SUFFIX = ".zarr.zip"
_SHARD = re.compile(r"ssl4eos12_shard_\d+\.tar")
_SAMPLE_ID = re.compile(r"\d{7}")


@dataclass(frozen=True)
class _Sample:
    """One sample of one modality.

    Attributes:
        key: Its name in the file, the same in every modality of a split.
        group: Opens the zipped group that holds it.
        position: In that group; None for a group of its own.
    """

    key: str
    group: Callable[[], AbstractContextManager[ZippedGroup]]
    position: int | None


def find_cubes(source: Path) -> list[Path]:
    """The files of v1.1 below a folder, in order; links are not followed."""
    if source.is_file():
        return [source] if _is_cube_file(source) else []
    found = [path for path in source.rglob("*") if _is_cube_file(path)]
    found.sort(key=lambda path: (path.name, path.as_posix()))
    return [path for path in found if path.is_file() and not path.is_symlink()]


def take_stock_of_cubes(paths: list[Path]) -> Inventory:
    """Which samples the files hold."""
    inventory = Inventory()
    keys = _keys(paths, inventory.refusals.append)
    inventory.add(told(keys, "taking stock of samples"))
    return inventory


def patch_pixels(paths: list[Path]) -> int:
    """Rows and columns of the patches, from the first readable sample.

    Raises:
        PipelineError: There is none.
    """
    for path in paths:
        with suppress(DamagedMember):
            for sample in _samples(path, reported_before):
                with suppress(DamagedMember), sample.group() as group:
                    return group.array("bands").shape[-1]
    raise PipelineError(f"none of the {len(paths)} files of v1.1 can be read; download them anew")


def cube_units(paths: list[Path], harmonise: bool, wanted: Wanted) -> Iterator[Unit]:
    """Every sample of every file that is still wanted."""
    for path in paths:
        part = _part(path)
        if part is None:
            continue
        try:
            for sample in _samples(path, reported_before):
                key = Key("", sample.key, part)
                if wanted(key):
                    yield Unit(key, partial(_decode, sample, part, _split(path), harmonise))
        except DamagedMember:
            continue  # reported when stock was taken


def _is_cube_file(path: Path) -> bool:
    return path.name.endswith(_SUFFIX) or _SHARD.fullmatch(path.name) is not None


def _part(path: Path) -> str | None:
    return _MODALITIES.get(path.parent.name)


def _split(path: Path) -> str:
    return _SPLITS.get(path.parent.parent.name, "train")


def _keys(paths: list[Path], refuse: Callable[[Refusal], None]) -> Iterator[Key | str]:
    for path in paths:
        part = _part(path)
        if part is None:
            yield f"modality {printable(path.parent.name)}, which the store does not hold"
            continue
        try:
            for sample in _samples(path, refuse):
                yield Key("", sample.key, part)
        except DamagedMember as error:
            refuse(Refusal(path.name, path.name, str(error)))


def _samples(path: Path, refuse: Callable[[Refusal], None]) -> Iterator[_Sample]:
    return (_samples_of_shard if path.suffix == ".tar" else _samples_of_group)(path, refuse)


def _samples_of_group(path: Path, refuse: Callable[[Refusal], None]) -> Iterator[_Sample]:
    with ZippedGroup(path) as group:
        for name, reason in sorted(group.refusals().items()):
            refuse(Refusal(path.name, printable(name), reason))
        for position, name in enumerate(group.array("sample").read()):
            yield _Sample(text_of(name), lambda: nullcontext(group), position)


def _samples_of_shard(path: Path, refuse: Callable[[Refusal], None]) -> Iterator[_Sample]:
    for member in iterate_members(path, refuse):
        if not member.name.name.endswith(_SUFFIX):
            continue
        name = member.name.name.removesuffix(_SUFFIX)
        # Keys that are no ids are names in their split alone.
        key = name if _SAMPLE_ID.fullmatch(name) else f"{_split(path)}/{name}"
        yield _Sample(key, partial(_open_member, member), None)


def _open_member(member: Member) -> ZippedGroup:
    return ZippedGroup(io.BytesIO(member.read()))


def _decode(sample: _Sample, part: str, split: str, harmonise: bool) -> Decoded:
    with sample.group() as group:
        return decode_cube(group, sample.position, part, split, harmonise)
