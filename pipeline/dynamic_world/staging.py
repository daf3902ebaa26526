"""Tiles on their way into a shard: what was found out, one file each, so that a killed job goes on.

The folder lives beside the store and goes when the shard is committed.
"""

import dataclasses
import json
import logging
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file
from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.tile_table import tile_fingerprint
from pipeline.ledger import Reason, SeasonRecord, Status

_log = logging.getLogger(__name__)

_IMAGES = ("s2", "s1")
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, EOFError, OSError)
"""What numpy raises on a file that is cut short or altered; every member carries a CRC-32."""


class TileStaging:
    """The staged tiles of one shard; safe for many threads, for one process."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, named by dataset and shard; it is made when the first tile arrives."""
        self._folder = folder

    def save(
        self, tile: ExpertTile, record: SeasonRecord, images: Mapping[str, NDArray[Any]]
    ) -> None:
        """Keep what became of a tile; the images of a rejected one are empty."""
        text = json.dumps(dataclasses.asdict(record), default=str)
        arrays = {name: images[name] for name in images} | {"record": np.array(text)}
        with atomic_file(self._path(tile)) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def find(self, tile: ExpertTile) -> SeasonRecord | None:
        """What became of a tile, if it was found out; a damaged file counts as not."""
        try:
            with np.load(self._path(tile), allow_pickle=False) as file:
                record = _record(json.loads(str(file["record"])))
                if record.status is Status.DONE:
                    for name in _IMAGES:
                        file[name].shape  # noqa: B018 - reading it checks it
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            _log.warning("staged tile %s is damaged (%s); fetching it again", tile.tile_id, error)
            return None
        return record

    def images(self, tile: ExpertTile) -> dict[str, NDArray[Any]]:
        """The arrays ``s2`` and ``s1`` of a tile that was kept."""
        with np.load(self._path(tile), allow_pickle=False) as file:
            return {name: file[name] for name in _IMAGES}

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _path(self, tile: ExpertTile) -> Path:
        return self._folder / f"{tile.sample:08d}-{tile_fingerprint(tile)}.npz"


def _record(values: dict[str, Any]) -> SeasonRecord:
    days = {name: _day(values[name]) for name in ("window_start", "window_end")}
    words = {"status": Status(values["status"]), "reason": Reason(values["reason"])}
    return SeasonRecord(**{**values, **days, **words})


def _day(text: str) -> Any:
    return np.datetime64(text).astype(object)
