"""The values of an open store, read when asked for: what is wrong with its files is one line.

Zarr reads an array whose file is gone as if it had no data, and xarray passes on whatever a codec
says of damaged bytes. Here both are told, so that nobody takes a lost file for nodata. Files of
pixels that hold no valid sample may be missing: of a store that is copied in part, they are.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from pipeline.store.chunk_files import (
    chunk_file,
    chunk_places,
    require_record_files,
    stored_size,
)
from pipeline.store.damage import lost_file, told_if_damaged
from pipeline.store.layout import holds_pixels
from pipeline.store.object_path import StorePath


def with_told_damage(encoded: xr.Dataset, group: StorePath) -> xr.Dataset:
    """The same dataset, lazily, that tells what is wrong with a file when it is read.

    Args:
        encoded: As `xarray.open_zarr` gives it, not decoded, without Dask.
        group: Where it lies.
    """
    valid = encoded.variables.get("valid")
    if valid is not None:
        valid = _told(valid, group / "valid", None)
    for name in map(str, encoded.indexes):
        coordinate = encoded.variables[name]
        lengths = coordinate.encoding["chunks"]
        require_record_files(group / name, coordinate.shape, lengths, (slice(None),))
    told = {
        str(name): _told(variable, group / str(name), valid)
        for name, variable in encoded.variables.items()
        if name not in encoded.indexes
    }
    return encoded.assign(told)


def _told(variable: xr.Variable, array: StorePath, valid: xr.Variable | None) -> xr.Variable:
    values = _StoredValues(variable, array, valid)
    lazy = indexing.LazilyIndexedArray(values)
    return xr.Variable(variable.dims, lazy, variable.attrs, variable.encoding)


class _StoredValues(BackendArray):
    """The values of one array."""

    def __init__(self, variable: xr.Variable, array: StorePath, valid: xr.Variable | None) -> None:
        self.shape = variable.shape
        self.dtype = variable.dtype
        self._variable = variable
        self._array = array
        dimensions = [str(name) for name in variable.dims]
        self._valid = valid if dimensions and holds_pixels(dimensions) else None

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        self._require_files(key)
        with told_if_damaged(self._array):
            return np.asarray(self._variable[key].to_numpy())

    def _require_files(self, key: tuple[Any, ...]) -> None:
        """Refuse to read files that are lost, of pixels if they hold valid samples asked for."""
        form = self._variable.encoding
        lengths = form.get("shards") or form["chunks"]
        if self._valid is None:
            require_record_files(self._array, self.shape, lengths, key)
            return
        samples = np.atleast_1d(np.arange(self.shape[0])[key[0]])
        for place in chunk_places(self.shape, lengths, key):
            file = chunk_file(self._array, place)
            inside = samples[samples // lengths[0] == place[0]]
            if not stored_size(file) and self._valid.values[inside].any():
                raise lost_file(file)
