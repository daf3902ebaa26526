"""Open a store, and see native Sentinel-2 bands as one 10 m cube.

A store needs none of this: ``xarray.open_zarr`` alone reads it. What is here spares the caller a
few options, and hides whether a store keeps native bands or was made from resampled ones.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.season_pixels import S2_NODATA
from pipeline.sensors import Band, cube_bands
from pipeline.store.create import read_attributes
from pipeline.store.damage import told_if_damaged
from pipeline.store.interpolation import Method, interpolate
from pipeline.store.object_path import StorePath, zarr_source
from pipeline.store.stored_values import with_told_damage

_PIXEL_M = 10.0

_RAW = ("label", "label_dw")
"""Arrays whose integers stay as they are: class ids with 255 for no label."""


def open_store(path: StorePath, group: str | None = None) -> xr.Dataset:
    """Open a store of ours, lazily and without Dask.

    Sentinel-1 decodes to dB (float32, NaN where there is no data), times to datetimes; Sentinel-2
    stays uint16 (0 = no data) and labels uint8 (255 = no label).

    Args:
        path: Where the store lies, on disk or in object storage.
        group: Group inside it, for stores that have several.

    Raises:
        PipelineError: There is no store at the path, or it is not one of ours.
    """
    attributes = read_attributes(path / group if group else path)
    if attributes is None:
        raise PipelineError(f"there is no Zarr store at {path}; build it first")
    if not str(attributes.get("layout", "")).startswith("noldo-"):
        raise PipelineError(f"{path} is a Zarr group but not a store of ours (no `layout` noldo-*)")
    encoded = open_encoded(path, group)
    for variable in encoded.variables.values():
        if "scale_factor" in variable.attrs:
            # JSON knows double precision only, with which int16 would decode to float64.
            variable.attrs["scale_factor"] = np.float32(variable.attrs["scale_factor"])
    masked = {name: name not in _RAW for name in encoded.variables}
    return xr.decode_cf(encoded, mask_and_scale=masked)  # type: ignore[arg-type]


def open_encoded(path: StorePath, group: str | None = None) -> xr.Dataset:
    """Open a store of ours as it is stored, not decoded; lazily, without Dask.

    Args:
        path: Where the store lies.
        group: Group inside it.

    Raises:
        PipelineError: A coordinate is damaged. The arrays raise it when they are read: one that is
            damaged, or a file that is lost and held a valid sample.
    """
    place = path / group if group else path
    with told_if_damaged(place, "a coordinate of"):
        encoded = xr.open_zarr(zarr_source(path), group=group, chunks=None, decode_cf=False)
    return with_told_damage(encoded, place)


def sample_grid(dataset: xr.Dataset, sample: int) -> PatchGrid:
    """The 10 m grid of one sample.

    Raises:
        PipelineError: Its pixels are not 10 m squares: an imported sample, whose grid is as its
            source recorded it (``x_step``, ``y_step``).
    """
    place = dataset[["epsg", "left", "top"]].isel(sample=sample)
    steps = [float(dataset[name][sample]) for name in ("x_step", "y_step") if name in dataset]
    if steps and steps != [_PIXEL_M, -_PIXEL_M]:
        raise PipelineError(
            f"sample {sample} was imported with pixels of {steps[0]:g} by {steps[1]:g} in "
            f"EPSG:{int(place.epsg)}, not on a 10 m grid; use its records left, top, x_step, y_step"
        )
    height, width = dataset.sizes["y"], dataset.sizes["x"]
    return PatchGrid(int(place.epsg), float(place.left), float(place.top), height, width)


def as_cube(dataset: xr.Dataset, method: Method = "nearest") -> xr.DataArray:
    """All 13 Sentinel-2 bands on the 10 m grid, computed when and where they are read.

    Args:
        dataset: An open store, with native bands or with a cube of its own.
        method: ``nearest`` repeats pixels and is exact; ``bilinear`` and ``bicubic`` interpolate
            between pixel centres. A cube that the store itself holds is returned as it is.

    Returns:
        (sample, time, band_s2, y, x): uint16 for ``nearest``, else float32; reflectance x 10000,
        0 where the native pixel has no data.
    """
    if "s2" in dataset:
        return dataset["s2"]
    bands = cube_bands("sentinel-2")
    dtype = np.dtype(np.uint16 if method == "nearest" else np.float32)
    lazy = indexing.LazilyIndexedArray(_NativeCube(dataset, bands, method, dtype))
    dimensions = ("sample", "time", "band_s2", "y", "x")
    cube = xr.DataArray(xr.Variable(dimensions, lazy), name="s2")
    along = {
        name: dataset[name] for name in dataset.coords if set(dataset[name].dims) <= set(dimensions)
    }
    names = np.array([band.name for band in bands])
    cube = cube.assign_coords(along | {"band_s2": names})
    cube.attrs = {"long_name": "Sentinel-2 reflectance on the 10 m grid", "units": "1e-4"}
    return cube


class _NativeCube(BackendArray):
    """The array behind `as_cube`: reads whole patches, one (sample, season) at a time."""

    def __init__(
        self, dataset: xr.Dataset, bands: tuple[Band, ...], method: Method, dtype: np.dtype[Any]
    ) -> None:
        sizes = dataset.sizes
        self.shape = (sizes["sample"], sizes["time"], len(bands), sizes["y"], sizes["x"])
        self.dtype = dtype
        self._dataset = dataset
        self._bands = bands
        self._method: Method = method

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        samples, times, bands, rows, columns = (
            np.atleast_1d(np.arange(size)[part]) for size, part in zip(self.shape, key, strict=True)
        )
        result = np.empty(
            (len(samples), len(times), len(bands), len(rows), len(columns)), self.dtype
        )
        for i, sample in enumerate(samples):
            for j, time in enumerate(times):
                patch = self._patch(sample, time, [self._bands[band] for band in bands])
                result[i, j] = patch[:, rows][:, :, columns]
        single = tuple(axis for axis, part in enumerate(key) if isinstance(part, (int, np.integer)))
        return result.squeeze(axis=single)

    def _patch(self, sample: int, time: int, bands: list[Band]) -> NDArray[Any]:
        """The wanted bands of one (sample, season), (band, y, x) at 10 m."""
        patch = np.empty((len(bands), *self.shape[-2:]), self.dtype)
        for name in sorted({band.array for band in bands}):
            native = self._dataset[name].isel(sample=sample, time=time).to_numpy()
            for number, band in enumerate(bands):
                if band.array == name:
                    patch[number] = interpolate(
                        native[band.position], patch.shape[-2:], self._method, S2_NODATA
                    )
        return patch
