"""Pixels to predict on, window by window: tiles of a store, or scenes in GeoTIFF files.

Both give the bands a network asks for, in its unit, and say which pixels have data.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterWindow

from pipeline.errors import PipelineError
from pipeline.pixel_sums import pixels_with_data
from pipeline.season_pixels import S1_NODATA, S2_NODATA
from pipeline.store.object_path import StorePath
from pipeline.store.reader import open_store, sample_grid
from pipeline.store.shard_reader import open_chunks
from training.downstream.task_tiles import require_band_order
from training.loading.batch import S1_STEP_DB
from training.loading.inputs import InputContract, band_names
from training.maps.blending import Window

_LOWEST_DB = -100.0
"""No surface scatters back less; lower values, and 0 of linear files, mark missing data."""


class Ground(NamedTuple):
    """The pixel grid of a prediction."""

    crs: CRS
    transform: Affine
    shape: tuple[int, int]


class Scene(Protocol):
    """Where a network's pixels come from."""

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Bands (C, H, W) in the contract's unit, and which pixels (H, W) have data."""


class StoreScene:
    """One tile of a tile store.

    Args:
        store: Folder of the store.
        group: Its group.
        sample: Index in the group.
        contract: Of the network.

    Raises:
        PipelineError: There is no such tile, or the store lacks the modality.
    """

    def __init__(self, store: StorePath, group: str, sample: int, contract: InputContract) -> None:
        dataset = open_store(store, group=group)
        if not 0 <= sample < dataset.sizes["sample"] or not bool(dataset["valid"][sample]):
            raise PipelineError(
                f"{store} has no valid tile {sample} in its group {group!r} "
                f"(0 to {dataset.sizes['sample'] - 1}); choose another"
            )
        if not (store / group / contract.modality).is_dir():
            raise PipelineError(f"{store} has no {contract.modality}, which the network takes")
        require_band_order(store, group, contract.modality)
        grid = sample_grid(dataset, sample)
        self.ground = Ground(CRS.from_epsg(grid.epsg), grid.transform, grid.shape)
        reader = open_chunks(store / group / contract.modality)
        stored = np.empty(reader.item_shape, reader.dtype)
        reader.read_into(stored, sample, 0)
        nodata, unit = (S1_NODATA, S1_STEP_DB) if contract.modality == "s1" else (S2_NODATA, 1.0)
        self._present = pixels_with_data(contract.modality, stored, nodata)
        order = band_names(contract.modality)
        stored = stored[[order.index(name) for name in contract.bands]]
        self._values = stored.astype(np.float32) * np.float32(unit)

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Part of the tile."""
        row, column, height, width = window
        place = (slice(row, row + height), slice(column, column + width))
        return self._values[(slice(None), *place)], self._present[place]


class FileScene:
    """A scene in one file with all bands, or in several, on any grids; open it in a ``with``.

    Bands are known by their descriptions, else by the names of files with one band, else by their
    order if there are as many as the sensor has. Files on another grid than the prediction's are
    warped window by window, bilinearly.

    Args:
        files: Of the scene. Sentinel-2 in reflectance x 10000, Sentinel-1 in dB.
        contract: Of the network.
        ground: Grid of the prediction; None takes that of the file with the finest pixels.
        offset: Added to Sentinel-2 values, e.g. -1000 for products since baseline 04.00.

    Raises:
        PipelineError: A file cannot be read, has no georeference, or a band is missing.
    """

    def __init__(
        self,
        files: Sequence[Path],
        contract: InputContract,
        ground: Ground | None = None,
        offset: float = 0.0,
    ) -> None:
        self._contract = contract
        self._offset = offset if contract.modality == "s2" else 0.0
        self._stack = ExitStack()
        try:
            sources = [self._open(file) for file in files]
            self.ground = ground or _finest(sources)
            self._bands = _located_bands(sources, contract)
            self._readers = {
                source: self._stack.enter_context(_on_ground(source, self.ground))
                for source in dict.fromkeys(source for source, _ in self._bands)
            }
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._stack.close()

    def read(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Part of the scene.

        Raises:
            PipelineError: A file is damaged.
        """
        place = RasterWindow(window.column, window.row, window.width, window.height)
        values = np.empty((len(self._bands), window.height, window.width), np.float32)
        present: NDArray[np.bool_] = np.empty(values.shape, bool)
        for layer, (source, number) in enumerate(self._bands):
            reader = self._readers[source]
            try:
                read = reader.read(number, window=place, masked=True)
            except RasterioError as error:
                raise PipelineError(f"{source.name} is damaged ({error}); get it again") from None
            band = np.ma.filled(read.astype(np.float32), np.nan)
            present[layer] = self._has_data(band)
            # -inf is what backscatter of 0 is in dB.
            values[layer] = np.where(np.isfinite(band), band, 0.0) + self._offset
        # As in `pipeline.pixel_sums.pixels_with_data`: one band may be 0 over dark water.
        every = np.logical_and if self._contract.modality == "s1" else np.logical_or
        return values, every.reduce(present)

    def _has_data(self, band_HW: NDArray[np.float32]) -> NDArray[np.bool_]:
        if self._contract.modality == "s1":
            return np.isfinite(band_HW) & (band_HW > _LOWEST_DB) & (band_HW != 0)
        return np.isfinite(band_HW) & (band_HW != S2_NODATA)

    def _open(self, file: Path) -> Any:
        try:
            source = self._stack.enter_context(rasterio.open(file))
        except RasterioError as error:
            raise PipelineError(f"{file} cannot be read ({error})") from None
        if source.crs is None:
            raise PipelineError(f"{file} has no coordinate reference system; give it one")
        return source


def plain_band_name(text: str) -> str | None:
    """Our name of the band that a description or a file name speaks of, e.g. ``B8A``, ``VV``."""
    optical = re.search(r"(?<![A-Za-z0-9])B0?(1[0-2]|[1-9])(A?)(?![A-Za-z0-9])", text.upper())
    if optical:
        return f"B{optical[1]}{optical[2]}"
    radar = re.search(r"(?<![A-Z0-9])(VV|VH)(?![A-Z0-9])", text.upper().replace("_", " "))
    return radar[1] if radar else None


def _located_bands(sources: Sequence[Any], contract: InputContract) -> list[tuple[Any, int]]:
    found: dict[str, tuple[Any, int]] = {}
    for source in sources:
        for name, number in _names_of(source, contract):
            found.setdefault(name, (source, number))
    missing = [name for name in contract.bands if name not in found]
    if missing:
        raise PipelineError(
            f"the scene lacks {', '.join(missing)}; it has {', '.join(found) or 'no known band'}. "
            "Name the bands in their descriptions or give one file a band, such as ..._B04.tif"
        )
    return [found[name] for name in contract.bands]


def _names_of(source: Any, contract: InputContract) -> list[tuple[str, int]]:
    described = [
        (plain_band_name(text or ""), number)
        for number, text in enumerate(source.descriptions, start=1)
    ]
    known = [(name, number) for name, number in described if name]
    if known:
        return known
    if source.count == 1:
        name = plain_band_name(Path(source.name).stem)
        return [(name, 1)] if name else []
    order = band_names(contract.modality)
    if source.count == len(order):
        return [(name, number) for number, name in enumerate(order, start=1)]
    return []


def _finest(sources: Sequence[Any]) -> Ground:
    source = min(sources, key=lambda one: abs(one.transform.a * one.transform.e))
    return Ground(source.crs, source.transform, (source.height, source.width))


def _on_ground(source: Any, ground: Ground) -> Any:
    same = source.crs == ground.crs and source.transform.almost_equals(ground.transform)
    if same and (source.height, source.width) == ground.shape:
        return nullcontext(source)
    return WarpedVRT(
        source,
        crs=ground.crs,
        transform=ground.transform,
        height=ground.shape[0],
        width=ground.shape[1],
        resampling=Resampling.bilinear,
    )
