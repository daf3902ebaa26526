"""Make ``nol.zarr`` ready for its writers, or larger; run once before any shard is fetched.

The metadata files are written here and nowhere else while shards are being made, so that jobs share
nothing but the folder.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import Settings, load_settings
from pipeline.store.description import group_attributes
from pipeline.store.layout import (
    NATIVE_LAYOUT,
    PIXEL_ARRAYS,
    RECORD_ARRAYS,
    VALID,
    PixelArray,
)
from pipeline.store.metadata import (
    ROOT_DOCUMENT,
    add_band_names,
    add_pixel_coordinates,
    add_record_array,
    codecs_in_use,
    consolidated_documents,
    json_bytes,
    write_documents,
)
from pipeline.store.object_path import StorePath

if TYPE_CHECKING:
    import zarr


def create_store(path: Path, settings: Settings, location_count: int) -> None:
    """Write the metadata of a store for so many locations, or let an existing one grow.

    A store that is large enough is left as it is; none ever shrinks. The root document, which holds
    the consolidated metadata, is replaced last, so that a reader sees the old size or the new one.
    A store that grows keeps the codecs it was begun with: that of an earlier version has chunks
    without checksums.

    Args:
        path: Folder of the store.
        settings: Of the dataset.
        location_count: Candidates, kept or not: the length of ``sample``.

    Raises:
        PipelineError: Something else is in the way: another dataset's store, or not a store.
    """
    refuse_other_store(path, settings)
    if read_attributes(path) is not None and stored_location_count(path) >= location_count:
        return
    write_documents(path, _documents(path, settings, location_count))


def refuse_other_store(path: Path, settings: Settings) -> None:
    """Make sure that nothing but this dataset's own store, or nothing at all, is at a path.

    Raises:
        PipelineError: Another dataset's store, or not a store; names what differs.
    """
    existing = read_attributes(path)
    if existing is None:
        _refuse_foreign_folder(path)
    else:
        _refuse_other_dataset(path, existing, settings)


def read_attributes(path: StorePath) -> dict[str, Any] | None:
    """Attributes of the group at a path; None if there is no group.

    Raises:
        PipelineError: The file that should describe it is damaged.
    """
    try:
        return dict(json.loads((path / ROOT_DOCUMENT).read_bytes())["attributes"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise PipelineError(
            f"{path / ROOT_DOCUMENT} is not the description of a Zarr group; "
            "choose another name in the settings or remove the folder"
        ) from None


def require_same_dataset(path: Path, settings: Settings) -> None:
    """Make sure that a store exists and was made with these settings.

    Raises:
        PipelineError: It does not exist, is not ours, or was made with other settings; the
            message names the keys that differ.
    """
    existing = read_attributes(path)
    if existing is None:
        raise PipelineError(f"there is no store at {path}; run `python -m pipeline.store.create`")
    _refuse_other_dataset(path, existing, settings)


def stored_location_count(path: Path) -> int:
    """How many samples a store of ours has room for."""
    root = json.loads((path / ROOT_DOCUMENT).read_bytes())
    return int(root["consolidated_metadata"]["metadata"][VALID.name]["shape"][0])


def replace_attributes(path: Path, changes: dict[str, Any]) -> None:
    """Set group attributes, atomically; all other metadata stays byte for byte."""
    root = json.loads((path / ROOT_DOCUMENT).read_bytes())
    root["attributes"] |= changes
    write_atomically(path / ROOT_DOCUMENT, json_bytes(root))


def _refuse_foreign_folder(path: Path) -> None:
    # A creation that was killed leaves array folders without the root document: those are ours.
    if not path.exists():
        return
    ours = {array.name for array in PIXEL_ARRAYS}
    ours |= {array.name for array in (*RECORD_ARRAYS, VALID)}
    ours |= {dimension for array in PIXEL_ARRAYS for dimension in array.dimensions}
    foreign = not path.is_dir() or any(
        entry.name not in ours and not entry.name.startswith(f".{ROOT_DOCUMENT}.")
        for entry in path.iterdir()
    )
    if foreign:
        raise PipelineError(
            f"{path} exists and is not a store of ours; "
            "choose another name in the settings or move it away"
        )


def _refuse_other_dataset(path: Path, existing: dict[str, Any], settings: Settings) -> None:
    layout = existing.get("layout")
    if layout != NATIVE_LAYOUT or "dataset_hash" not in existing:
        raise PipelineError(
            f"{path} is a Zarr group but not a dataset of ours (layout {layout!r}, expected "
            f"{NATIVE_LAYOUT!r}); choose another name in the settings or move it away"
        )
    if existing["dataset_hash"] == settings.dataset_hash():
        return
    raise other_settings(path, existing.get("settings", {}), settings.defining())


def other_settings(path: Path, old: dict[str, Any], new: dict[str, Any]) -> PipelineError:
    """The refusal of a store that was made with other settings; names those that differ.

    Args:
        path: Of the store.
        old: Its settings, as it tells them.
        new: What they are now.
    """
    before, now = _flatten(old), _flatten(new)
    changes = ", ".join(
        f"{key} {before.get(key)!r} -> {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    )
    return PipelineError(
        f"{path} was made with other settings ({changes}); undo the change, "
        "choose another name in the settings, or remove the folder"
    )


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _documents(path: Path, settings: Settings, location_count: int) -> dict[str, bytes]:
    """Every file of an empty store: metadata, and the chunks of all that has no pixels."""
    import zarr  # late: Snakemake reads this module at every start
    from zarr.storage import MemoryStore

    content: dict[str, Any] = {}
    store = MemoryStore(content)
    group = zarr.create_group(store, zarr_format=3, attributes=group_attributes(settings))
    for pixel_array in PIXEL_ARRAYS:
        codecs = codecs_in_use(path / pixel_array.name, pixel_array.codecs)
        begun = replace(pixel_array, codecs=codecs)
        _add_pixel_array(group, begun, settings, location_count)
    for record_array in (*RECORD_ARRAYS, VALID):
        add_record_array(group, record_array, location_count)
    _add_coordinates(group, settings.grid.pixels)
    return consolidated_documents(content)


def _add_pixel_array(
    group: "zarr.Group", array: PixelArray, settings: Settings, location_count: int
) -> None:
    season_shape = array.season_shape(settings.grid.pixels)
    group.create_array(
        array.name,
        shape=(location_count, SEASONS, *season_shape),
        chunks=array.chunk_shape(settings.grid.pixels),
        shards=(settings.store.shard_size, SEASONS, *season_shape),
        dtype=array.dtype,
        fill_value=array.nodata,
        filters=None,
        compressors=array.codecs,
        dimension_names=array.dimensions,
        attributes=array.attributes | {"spatial:dimensions": array.dimensions[-2:]},
    )


def _add_coordinates(group: "zarr.Group", patch_pixels: int) -> None:
    """Names along the band axes, metres along the pixel axes."""
    for array in PIXEL_ARRAYS:
        *_, rows, columns = array.dimensions
        if array.band_dimension:
            add_band_names(group, array.band_dimension, array.band_names)
        if rows not in group:
            count = array.season_shape(patch_pixels)[-1]
            add_pixel_coordinates(group, rows, columns, count, array.pixel_size)


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--count", type=int, required=True, help="locations, kept or not")
    parser.add_argument("--store", type=Path, required=True, help="the store to make")
    parser.add_argument("--record", type=Path, required=True, help="where to note that it is made")
    arguments = parser.parse_args()
    settings = load_settings(arguments.settings)
    create_store(arguments.store, settings, arguments.count)
    record = {"dataset_hash": settings.dataset_hash(), "samples": arguments.count}
    write_atomically(arguments.record, json_bytes(record))


if __name__ == "__main__":
    run_step(main)
