"""Pixels on their way into a shard: one file per (sample, season), so that a killed job goes on.

The folder lives beside the store, ``results/<name>/staging/<shard>``, and goes when the shard is
committed.
"""

import hashlib
import json
import logging
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.atomic_file import atomic_file
from pipeline.grid import PatchGrid
from pipeline.ledger import SeasonRecord
from pipeline.season_pixels import SeasonPixels
from pipeline.store.layout import PIXEL_ARRAYS

_log = logging.getLogger(__name__)

_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError)
"""What numpy raises on a file that is cut short or altered; every member carries a CRC-32."""


class Staging:
    """The staged pixels of one shard; safe for many threads, for one process."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first pixels arrive."""
        self._folder = folder

    def save(self, record: SeasonRecord, grid: PatchGrid, pixels: SeasonPixels) -> None:
        """Keep the pixels of one (sample, season), whole or not at all."""
        arrays = {array.name: getattr(pixels, array.name) for array in PIXEL_ARRAYS}
        with atomic_file(self._path(record, grid)) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def find(self, record: SeasonRecord, grid: PatchGrid) -> SeasonPixels | None:
        """The pixels of exactly these scenes on exactly this grid, if they were kept.

        A damaged file counts as none and is reported; it will be fetched again.
        """
        path = self._path(record, grid)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {array.name: file[array.name] for array in PIXEL_ARRAYS}
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            _log.warning("staged file %s is damaged (%s); fetching it again", path, error)
            return None
        if not _fits(arrays, grid):
            _log.warning("staged file %s does not fit the grid; fetching it again", path)
            return None
        return SeasonPixels(**arrays)

    def load(self, record: SeasonRecord, grid: PatchGrid) -> SeasonPixels:
        """The pixels that were kept a moment ago.

        Raises:
            OSError: They are no longer there, or no longer whole.
        """
        pixels = self.find(record, grid)
        if pixels is None:
            raise OSError(f"{self._path(record, grid)} vanished or was damaged while in use")
        return pixels

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _path(self, record: SeasonRecord, grid: PatchGrid) -> Path:
        key = season_key(record, grid)
        return self._folder / f"{record.sample:08d}-{record.season}-{key}.npz"


class LazyPixels(Mapping[tuple[int, int], SeasonPixels]):
    """Pixels by (sample, season) that are read when asked for, and not kept."""

    def __init__(self, readers: Mapping[tuple[int, int], Callable[[], SeasonPixels]]) -> None:
        self._readers = readers

    def __getitem__(self, key: tuple[int, int]) -> SeasonPixels:
        return self._readers[key]()

    def __contains__(self, key: object) -> bool:
        return key in self._readers

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def season_key(record: SeasonRecord, grid: PatchGrid) -> str:
    """16 hexadecimal digits that change with the scenes and the grid: SHA-256, cut short."""
    scenes = [record.s2_id, record.s1_id, record.dw_id]
    where = [grid.epsg, grid.left, grid.top, grid.height, grid.width, grid.resolution]
    return hashlib.sha256(json.dumps(scenes + where).encode()).hexdigest()[:16]


def _fits(arrays: dict[str, np.ndarray], grid: PatchGrid) -> bool:
    return all(
        arrays[array.name].shape == array.season_shape(grid.height)
        and arrays[array.name].dtype == np.dtype(array.dtype)
        for array in PIXEL_ARRAYS
    )
