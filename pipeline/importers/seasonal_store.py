"""The store of four seasons that SSL4EO-S12 is imported into, native or as a cube.

The form is that of ``nol.zarr``, with what a foreign source adds: steps and corners of its grids,
and the radiometric offset it had. A source that was resampled to 10 m before it was published keeps
its cube ``s2`` of 13 bands instead of the three native arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import MemoryStore

from pipeline.errors import PipelineError
from pipeline.importers.offset import UNKNOWN
from pipeline.importers.reflectance import AS_PUBLISHED
from pipeline.importers.shard_part import StoredArray
from pipeline.sensors import bands_of, cube_bands
from pipeline.settings.dataset import SEASONS
from pipeline.store.create import read_attributes
from pipeline.store.description import band_table, common_attributes
from pipeline.store.groups import write_records
from pipeline.store.layout import (
    NATIVE_LAYOUT,
    PIXEL_ARRAYS,
    RECORD_ARRAYS,
    VALID,
    PixelArray,
    RecordArray,
)
from pipeline.store.metadata import (
    ROOT_DOCUMENT,
    add_band_names,
    add_pixel_coordinates,
    add_record_array,
    consolidated_documents,
    write_documents,
)

CUBE_LAYOUT = "noldo-cube-1"
"""Attribute ``layout`` of a store whose Sentinel-2 bands were resampled before it was made."""

Form = Literal["native", "cube"]

_SUFFIXES = ("", "_20m", "_60m")


def _edge(name: str, side: str, meaning: str) -> RecordArray:
    attributes = {"long_name": f"{side} as recorded for {meaning}", "units": "of EPSG:epsg"}
    return RecordArray(name, "float64", np.nan, attributes=attributes)


SOURCE_RECORDS: tuple[RecordArray, ...] = (
    _edge("x_step", "width of a pixel", "the 10 m bands"),
    _edge("y_step", "height of a pixel (negative: rows run south)", "the 10 m bands"),
    _edge("left_20m", "left edge", "the 20 m bands"),
    _edge("top_20m", "upper edge", "the 20 m bands"),
    _edge("left_60m", "left edge", "the 60 m bands"),
    _edge("top_60m", "upper edge", "the 60 m bands"),
    _edge("s1_left", "left edge", "Sentinel-1"),
    _edge("s1_top", "upper edge", "Sentinel-1"),
    _edge("s1_x_step", "width of a pixel", "Sentinel-1"),
    _edge("s1_y_step", "height of a pixel", "Sentinel-1"),
    RecordArray(
        "s2_offset",
        "int16",
        UNKNOWN,
        True,
        {"long_name": "radiometric offset found in the source: 0, 1000, or -1 for unknown"},
    ),
    RecordArray("reason", "string", "", attributes={"long_name": "why the sample is not valid"}),
)
"""What a source says of its own grids, which its pixels do not always obey."""

_ALL_RECORDS = (*RECORD_ARRAYS, *SOURCE_RECORDS, VALID)


@dataclass(frozen=True)
class SeasonalStore:
    """A store of so many samples.

    Attributes:
        path: Its folder.
        form: Native arrays or a cube.
        count: Length of ``sample``.
        patch_pixels: Rows and columns at 10 m.
        shard_size: Samples in one shard.
        harmonised: Whether radiometric offsets were removed.
    """

    path: Path
    form: Form
    count: int
    patch_pixels: int
    shard_size: int
    harmonised: bool = True

    @property
    def arrays(self) -> tuple[PixelArray, ...]:
        """The arrays of pixels; that of a cube is named as its bands are in no other."""
        *optical, backscatter, label = PIXEL_ARRAYS
        if self.form == "cube":
            own = {"long_name": "Sentinel-2 L1C, resampled to 10 m by the source"}
            cube = replace(optical[0], name="s2", band_dimension="band_s2")
            optical = [replace(cube, attributes=cube.attributes | own)]
        if not self.harmonised:
            own = {"comment": AS_PUBLISHED}
            optical = [replace(one, attributes=one.attributes | own) for one in optical]
        return *optical, backscatter, label

    def part_arrays(self, part: str) -> tuple[StoredArray, ...]:
        """What a part of the import is stored as: ``s2``, ``s1`` or ``label``."""
        return tuple(
            StoredArray(
                array.name,
                (SEASONS, *self._season_shape(array)),
                array.dtype,
                array.nodata,
                array.seasons_per_chunk == 1,
            )
            for array in self.arrays
            if array.name.split("_")[0] == part
        )

    def create(self, attributes: dict[str, Any]) -> None:
        """Write the metadata of an empty store; leave it as it is if this store is there.

        Args:
            attributes: ``title``, ``source`` and ``dataset_hash``, and what else is to be said.

        Raises:
            PipelineError: Something else is in the way.
        """
        existing = read_attributes(self.path)
        if existing is not None:
            if existing.get("dataset_hash") == attributes["dataset_hash"]:
                return
            raise PipelineError(
                f"{self.path} is another store (dataset {existing.get('dataset_hash')}); "
                "choose another name or remove the folder"
            )
        documents = self._documents(attributes)
        ours = {key.split("/")[0] for key in documents} - {ROOT_DOCUMENT}
        _refuse_foreign_folder(self.path, ours)
        write_documents(self.path, documents)

    def _season_shape(self, array: PixelArray) -> tuple[int, ...]:
        if array.name == "s2":
            return (len(cube_bands("sentinel-2")), self.patch_pixels, self.patch_pixels)
        return array.season_shape(self.patch_pixels)

    def _documents(self, attributes: dict[str, Any]) -> dict[str, bytes]:
        content: dict[str, Any] = {}
        bands = {
            array.name: band_table(_bands(array)) for array in self.arrays if array.band_dimension
        }
        own = {
            **common_attributes("ssl4eo", NATIVE_LAYOUT if self.form == "native" else CUBE_LAYOUT),
            **attributes,
            "simulated": False,
            "comment": _COMMENT,
            "coordinates": " ".join(array.name for array in _ALL_RECORDS),
            "bands": bands,
        }
        group = zarr.create_group(MemoryStore(content), zarr_format=3, attributes=own)
        for array in self.arrays:
            self._add_pixels(group, array)
        for record in _ALL_RECORDS:
            add_record_array(group, record, self.count)
        return consolidated_documents(content)

    def _add_pixels(self, group: zarr.Group, array: PixelArray) -> None:
        season = self._season_shape(array)
        group.create_array(
            array.name,
            shape=(self.count, SEASONS, *season),
            chunks=(1, array.seasons_per_chunk, *season),
            shards=(self.shard_size, SEASONS, *season),
            dtype=array.dtype,
            fill_value=array.nodata,
            filters=None,
            compressors=array.codecs,
            dimension_names=array.dimensions,
            attributes=array.attributes | {"spatial:dimensions": array.dimensions[-2:]},
        )
        if array.band_dimension:
            names = [band.name for band in _bands(array)]
            add_band_names(group, array.band_dimension, names)
        *_, rows, columns = array.dimensions
        if rows not in group:
            add_pixel_coordinates(group, rows, columns, season[-1], array.pixel_size)


def _refuse_foreign_folder(path: Path, ours: set[str]) -> None:
    """A creation that was killed leaves folders of arrays; anything else is somebody's."""
    if path.exists() and (
        not path.is_dir()
        or any(entry.name not in ours and entry.name[0] != "." for entry in path.iterdir())
    ):
        raise PipelineError(
            f"{path} exists and is not a store of ours; choose another name or move it away"
        )


_COMMENT = (
    "Sample k lies where its source says: EPSG:epsg[k], left[k] and top[k] in units of that CRS, "
    "pixels of x_step[k] by y_step[k]. The coordinates x and y are nominal metres. The arrays of "
    "one sample are aligned by pixel, whatever the recorded corners say. Samples whose `valid` is "
    "false lack something: see `reason`."
)


def _bands(array: PixelArray) -> Any:
    return cube_bands("sentinel-2") if array.name == "s2" else bands_of(array.name)


def write_columns(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays without pixels, ``valid`` last: whoever sees it sees all the rest."""
    for array in _ALL_RECORDS:
        write_records(path, array.name, columns[array.name])


def empty_columns(count: int) -> dict[str, NDArray[Any]]:
    """Every array without pixels at its fill value, to be filled and written."""
    return {array.name: array.empty(count) for array in _ALL_RECORDS}
