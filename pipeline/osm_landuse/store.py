"""The form of ``osm.zarr``, and one of its tiles: labels and images of one size."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fingerprints import file_sha256
from pipeline.grid import PatchGrid
from pipeline.osm_landuse.vetoes import veto_files
from pipeline.padding import pad_image, pad_label
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.settings.tree import Settings, short_hash
from pipeline.store.create import read_attributes
from pipeline.store.description import common_attributes, imagery_source, titled
from pipeline.store.layout import RecordArray
from pipeline.store.tile_layout import (
    TILE_LAYOUT,
    TILE_RECORDS,
    backscatter_array,
    label_array,
    reflectance_array,
)

OSM_ARRAYS = (
    reflectance_array(),
    backscatter_array(),
    label_array("label", "osm_landuse", "OSMLanduse class"),
    label_array("label_dw", "dynamic_world", "Dynamic World class marked by experts"),
)

OSM_RECORDS = (
    *TILE_RECORDS,
    RecordArray(
        "agreement",
        "float32",
        np.nan,
        attributes={"long_name": "share of the pixels labelled in both whose classes agree"},
    ),
    RecordArray(
        "joint_share",
        "float32",
        np.nan,
        attributes={"long_name": "share of the tile's pixels labelled in both"},
    ),
    RecordArray(
        "osm_share",
        "float32",
        np.nan,
        attributes={"long_name": "share of the tile's pixels with an OSMLanduse label"},
    ),
    RecordArray(
        "published_split", "string", "", attributes={"long_name": "split of the expert tile"}
    ),
    RecordArray(
        "picture_sha256", "string", "", attributes={"long_name": "SHA-256 of the raw picture"}
    ),
)

_BORDERS = {
    "zero": "reflectance 0 and backscatter 0 dB, as in the paper",
    "edge": "the outermost pixels repeated, as in the released LMDB code",
}


def osm_dataset(settings: Settings, dw_store: Path) -> str:
    """What tells one ``osm.zarr`` from another: settings, expert tiles, vetoes; 16 hex digits."""
    vetoes = settings.osm_landuse.vetoes
    decided = [file_sha256(file) for file in veto_files(vetoes)] if vetoes is not None else []
    expert = read_attributes(dw_store) or {}
    dw = [expert.get(name, "") for name in ("dataset_hash", "labels_hash")]
    return short_hash([settings.osm_defining(), dw, decided])


def is_simulated(settings: Settings) -> bool:
    """Whether the imagery or the land use is no observation."""
    return settings.simulated or settings.osm_landuse.service == "simulated"


def osm_attributes(settings: Settings, dw_store: Path) -> dict[str, Any]:
    """What ``osm.zarr`` says about itself."""
    section = settings.osm_landuse
    border = f"images are padded by {_BORDERS[section.padding]}; labels by 255"
    return common_attributes("osm", TILE_LAYOUT) | {
        "title": titled("OSMLanduse labels with Sentinel-1 and Sentinel-2", settings),
        "source": f"{imagery_source(settings)}; land use: {_service(settings)}",
        "simulated": is_simulated(settings),
        "dataset_hash": osm_dataset(settings, dw_store),
        "settings": settings.osm_defining(),
        "padding": border,
        "agreement": (
            "share of the pixels labelled in OSMLanduse and Dynamic World whose OSM class admits "
            f"the Dynamic World class (CromSS, Table I); kept from {section.min_agreement:g} on, "
            f"with at least {section.min_joint_share:g} of the pixels labelled in both"
        ),
    }


def padded_grid(grid: PatchGrid, size: int) -> PatchGrid:
    """The grid of a tile after `pad_image` to so many rows and columns."""
    rows, columns = (size - grid.height) // 2, (size - grid.width) // 2
    return replace(
        grid,
        left=grid.left - columns * grid.resolution,
        top=grid.top + rows * grid.resolution,
        height=size,
        width=size,
    )


def padded_tile(
    images: Mapping[str, NDArray[Any]],
    labels: Mapping[str, NDArray[np.uint8]],
    settings: OsmLanduseSettings,
    size: int,
) -> dict[str, NDArray[Any]]:
    """The arrays of one tile as stored.

    Args:
        images: ``s2`` and ``s1`` on the expert tile's grid.
        labels: ``label`` and ``label_dw`` on the same grid.
        settings: What the border of the images is.
        size: Rows and columns as stored.
    """
    padded: dict[str, NDArray[Any]] = {
        name: pad_image(image, settings.padding, size) for name, image in images.items()
    }
    return padded | {name: pad_label(label, size) for name, label in labels.items()}


def _service(settings: Settings) -> str:
    section = settings.osm_landuse
    if section.service == "simulated":
        return f"simulated Earth, seed {settings.simulator.seed}; no mapping"
    return f"{section.layer} of {section.service}"
