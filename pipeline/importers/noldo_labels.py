"""The noisy labels of NoLDO-S12, ``<id>/<scene>/label.tif``, for locations of SSL4EO-S12."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.importers.command import checked_sources
from pipeline.importers.inventory import fingerprint, load_inventory, read_inventory, take_stock
from pipeline.importers.label_part import StoredScenes, add_labels
from pipeline.importers.members import DamagedMember
from pipeline.importers.rasters import decode_geotiff
from pipeline.importers.scenes import is_sentinel2
from pipeline.importers.ssl4eo import finish_import, read_plan, work_folder
from pipeline.importers.units import Decoded, Files, Key, units_in
from pipeline.legend import UNLABELLED, load_legend
from pipeline.settings.dataset import SEASONS

_LOCATION = re.compile(r"\d{7}")
_MISFIT_PIXELS = 4
"""Masks may be this much smaller or larger than the patch: some were cut along other edges."""


def import_noisy_labels(sources: Sequence[Path], store: Path) -> str:
    """Add the released masks to a store of SSL4EO-S12; the new summary.

    Raises:
        PipelineError: The store was not imported here, or the source holds no masks for it.
    """
    sources = checked_sources(sources, store)
    target, ids = read_plan(store)
    kept = work_folder(store) / "labels.json"
    inventory = load_inventory(kept, fingerprint(sources), lambda: take_stock(sources, locate_mask))
    offered = inventory.parts.get("", {}).get("label", [])
    found = set(offered) & set(ids)
    if not found:
        raise PipelineError(
            f"none of the {len(offered)} locations with masks in {', '.join(map(str, sources))} is "
            f"among the {len(ids)} of {store}; is this ssl4eo_s12_nol.zip?"
        )
    others = len(set(offered) - found)
    if others:
        inventory.ignored["mask of a location that is not in the store"] += others
    decode = partial(decode_masks, scenes=StoredScenes(store), pixels=target.patch_pixels)
    wanted_ids = [name for name in offered if name in found]
    add_labels(store, "NoLDO-S12", wanted_ids, partial(units_in, sources, locate_mask, decode))
    images = read_inventory(work_folder(store) / "inventory.json")
    images.refusals += inventory.refusals
    images.ignored += inventory.ignored
    return finish_import(store, images)


def locate_mask(name: PurePosixPath) -> Key | str:
    """What a file is of, from its path."""
    if name.suffix != ".tif" or len(name.parts) < 3 or not is_sentinel2(name.parts[-2]):
        return "not a mask"
    if not _LOCATION.fullmatch(name.parts[-3]):
        return "no location id in the path"
    return Key("", name.parts[-3], "label")


def decode_masks(key: Key, files: Files, scenes: StoredScenes, pixels: int) -> Decoded:
    """Labels of four seasons, in the seasons of the store.

    Args:
        key: Which location.
        files: Its masks.
        scenes: What the store knows of its images.
        pixels: Rows and columns of a patch.

    Raises:
        DamagedMember: A mask of a scene that the store does not have, or no such mask at all.
    """
    facts = scenes.of(key.sample_id)
    if facts is None:
        raise DamagedMember("the store has no Sentinel-2 images of this location")
    known = facts["scenes"]
    label = np.full((SEASONS, pixels, pixels), UNLABELLED, np.uint8)
    labelled = [""] * SEASONS
    notes = []
    for name, content in files.items():
        scene = name.parent.name
        if scene not in known:
            raise DamagedMember(f"scene {scene} is not in the store; it has {', '.join(known)}")
        values = decode_geotiff(content).values
        if values.shape[-2:] != (pixels, pixels):
            notes.append(f"mask of {values.shape[-2]} x {values.shape[-1]} pixels, stretched")
        season = known.index(scene)
        label[season] = translate_mask(values, pixels)
        labelled[season] = scene
    return Decoded({"label": label}, {"scenes": labelled} | ({"notes": notes} if notes else {}))


def translate_mask(values: NDArray[np.generic], pixels: int) -> NDArray[np.uint8]:
    """Ids of a released mask, which counts from 0 as Earth Engine does.

    Masks a few pixels off are stretched to the patch by nearest neighbour: the authors' own code
    did so by cubic interpolation of the class numbers, which invents classes.

    Args:
        values: (1, y, x) integers: 0 to 8, 255 = no label.
        pixels: Rows and columns of the patch.

    Raises:
        DamagedMember: Another number, which could be a mask that counts from 1, or another size.
    """
    if values.shape[0] != 1 or values.dtype.kind not in "iu":
        raise DamagedMember(f"mask of {values.shape} {values.dtype}")
    mask = values[0]
    classes = len(load_legend("dynamic_world"))
    odd = mask[((mask < 0) | (mask >= classes)) & (mask != UNLABELLED)]
    if odd.size:
        raise DamagedMember(
            f"label {int(odd[0])}, expected 0 to {classes - 1} or {UNLABELLED}; counted from 1?"
        )
    if any(abs(length - pixels) > _MISFIT_PIXELS for length in mask.shape):
        raise DamagedMember(f"mask of {mask.shape} pixels, expected {pixels} x {pixels}")
    rows, columns = (_nearest(length, pixels) for length in mask.shape)
    stretched: NDArray[np.uint8] = mask[np.ix_(rows, columns)].astype(np.uint8)
    return stretched


def _nearest(length: int, wanted: int) -> NDArray[np.intp]:
    """For each of the wanted pixels, the one of the source below its centre."""
    return ((np.arange(wanted) + 0.5) * length / wanted).astype(np.intp)
