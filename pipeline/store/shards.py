"""One shard of ``nol.zarr``: a file per pixel array, written by one job in one pass."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file
from pipeline.season_pixels import SeasonPixels
from pipeline.settings.dataset import SEASONS
from pipeline.store.layout import PIXEL_ARRAYS, Codecs, PixelArray, shard_files
from pipeline.store.metadata import read_codecs
from pipeline.store.shard_file import ShardFile


@dataclass(frozen=True)
class StoreShape:
    """What a writer must know of a store.

    Attributes:
        location_count: Length of the ``sample`` axis.
        shard_size: Samples in one shard.
        patch_pixels: Rows and columns of the 10 m arrays.
    """

    location_count: int
    shard_size: int
    patch_pixels: int

    def samples_of(self, shard: int) -> range:
        """The samples in one shard; the last one may be cut short."""
        first = shard * self.shard_size
        return range(first, min(first + self.shard_size, self.location_count))


def read_store_shape(store_path: Path) -> StoreShape:
    """Read the shape from a store's metadata.

    Raises:
        FileNotFoundError: The store has not been created.
    """
    document = json.loads((store_path / PIXEL_ARRAYS[0].name / "zarr.json").read_bytes())
    return StoreShape(
        location_count=document["shape"][0],
        shard_size=document["chunk_grid"]["configuration"]["chunk_shape"][0],
        patch_pixels=document["shape"][-1],
    )


def write_shard(
    store_path: Path, shard: int, pixels: Mapping[tuple[int, int], SeasonPixels]
) -> dict[str, str]:
    """Write every pixel array of one shard; each file appears whole or not at all.

    The bytes depend on the pixels alone. All five files are complete before the first takes its
    place, and one sample at a time is in memory if the mapping loads its values lazily.

    Args:
        store_path: A store made by `create_store`.
        shard: Which one.
        pixels: By (sample, season): all four seasons of the samples that are kept; the rest of the
            shard stays empty.

    Returns:
        SHA-256 of each file, hexadecimal, by its path below the store.

    Raises:
        ValueError: A sample outside the shard, without all seasons, or of another shape or type.
    """
    shape = read_store_shape(store_path)
    samples = _complete_samples(shape.samples_of(shard), pixels)
    with ExitStack() as open_files:
        writers = [
            _ShardWriter(
                array,
                shape,
                open_files.enter_context(atomic_file(path)),
                read_codecs(store_path / array.name),
            )
            for array, path in zip(PIXEL_ARRAYS, shard_files(store_path, shard), strict=True)
        ]
        for sample in samples:
            seasons = [pixels[sample, season] for season in range(SEASONS)]
            for writer in writers:
                writer.append(sample, seasons)
        return {writer.array.shard_key(shard): writer.finish() for writer in writers}


def read_season(store_path: Path, sample: int, season: int) -> SeasonPixels:
    """Read one (sample, season) back as it was written, not decoded.

    Raises:
        ValueError: A file of its shard is damaged.
    """
    arrays = {
        array.name: zarr.open_array(store_path / array.name, mode="r")[sample, season]
        for array in PIXEL_ARRAYS
    }
    return SeasonPixels(**{name: np.asarray(values) for name, values in arrays.items()})


def _complete_samples(allowed: range, pixels: Mapping[tuple[int, int], SeasonPixels]) -> list[int]:
    samples = sorted({sample for sample, _ in pixels})
    for sample in samples:
        if sample not in allowed:
            raise ValueError(f"sample {sample} is not among {allowed.start} to {allowed.stop - 1}")
        missing = [season for season in range(SEASONS) if (sample, season) not in pixels]
        if missing:
            raise ValueError(f"sample {sample} lacks the seasons {missing}")
    return samples


class _ShardWriter:
    """Appends the samples of one array to its open file."""

    def __init__(
        self, array: PixelArray, shape: StoreShape, file: BinaryIO, codecs: Codecs
    ) -> None:
        self.array = array
        self._shape = shape
        chunks_per_sample = SEASONS // array.seasons_per_chunk
        counts = (shape.shard_size, chunks_per_sample)
        self._file = ShardFile(file, counts, codecs)

    def append(self, sample: int, seasons: list[SeasonPixels]) -> None:
        """Add all seasons of one sample."""
        arrays = [getattr(season, self.array.name) for season in seasons]
        for values in arrays:
            self._check(sample, values)
        row = sample % self._shape.shard_size
        for number, chunk in enumerate(self._chunks(arrays)):
            self._file.append((row, number), chunk, self.array.nodata)

    def finish(self) -> str:
        """Complete the file; its SHA-256."""
        return self._file.finish()

    def _chunks(self, seasons: list[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        together = self.array.seasons_per_chunk
        for first in range(0, SEASONS, together):
            yield np.stack(seasons[first : first + together])

    def _check(self, sample: int, season: NDArray[Any]) -> None:
        shape = self.array.season_shape(self._shape.patch_pixels)
        if season.shape != shape or season.dtype != np.dtype(self.array.dtype):
            raise ValueError(
                f"{self.array.name} of sample {sample} is {season.dtype} {season.shape}, "
                f"the store holds {self.array.dtype} {shape}"
            )
