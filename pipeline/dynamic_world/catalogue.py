"""Lists the expert tiles in their folders: ``python -m pipeline.dynamic_world.catalogue``.

Training tiles carry their date in the name, ``dw_<lon>_<lat>-<YYYYMMDD>.tif``, in folders of
hemisphere and biome. Test tiles have it in a metadata CSV (columns ``filename`` and
``s2_system_index``); their file names may have a prefix of six characters, such as ``label_``.
What cannot be used is listed by name with the reason, one line each, and never silently lost.

Source: zhu-xlab/CromSS, data_prepare/data_check_SSL4EO/get_osm_labels/,
0-get_center_void_coords_train.py and 0-get_center_void_coords_test.py.
"""

import argparse
import csv
import datetime as dt
import json
import logging
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.atomic_file import write_atomically
from pipeline.dynamic_world.expert_tile import (
    ExpertTile,
    Split,
    UnusableTile,
    label_from_codes,
    read_codes,
    read_tile_grid,
)
from pipeline.dynamic_world.tile_table import (
    committed_numbers,
    number_tiles,
    write_tiles_table,
)
from pipeline.errors import PipelineError, run_step
from pipeline.fingerprints import file_sha256
from pipeline.legend import UNLABELLED
from pipeline.progress import told
from pipeline.settings.tree import load_settings

_SUFFIXES = {".tif", ".tiff"}
_DATED = re.compile(r"dw_-?\d+(?:\.\d+)?_-?\d+(?:\.\d+)?-(\d{8})")
_TILE_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_])?")
_PREFIX_LENGTH = 6
_READERS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefusedFile:
    """A file that is no usable tile.

    Attributes:
        path: The file.
        reason: Why.
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def find_tiles(
    folder: Path, split: Split, pixels: int, metadata: Path | None = None
) -> tuple[list[ExpertTile], list[RefusedFile]]:
    """Read every tile of a split.

    Args:
        folder: Searched with its subfolders; links are not followed.
        split: Which it is.
        pixels: Rows and columns that each tile must have.
        metadata: CSV that tells the dates of test tiles; None for the only CSV in the folder.

    Returns:
        The tiles in the order of their ids, numbered, and the files that cannot be used.

    Raises:
        PipelineError: The folder does not exist or has no tile, or the metadata cannot be used.
    """
    if not folder.is_dir():
        raise PipelineError(f"the {split} tiles {folder} (dynamic_world.{split}) do not exist")
    files = tile_files(folder)
    if not files:
        raise PipelineError(f"{folder} (dynamic_world.{split}) holds no .tif file")
    dates = _dates_by_name(_find_metadata(folder, metadata)) if split == "test" else {}
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda file: _read_tile(file, split, pixels, dates), files)
        found = list(told(read, f"reading {split} tiles", len(files)))
    refused = [one for one in found if isinstance(one, RefusedFile)]
    usable = [one for one in found if isinstance(one, ExpertTile)]
    numbered, doubled = _without_doubles(usable)
    if not numbered:
        raise PipelineError(
            f"none of the {len(files)} files in {folder} is a {split} tile of {pixels} pixels; "
            f"the first: {refused[0]}"
        )
    return numbered, refused + doubled


def tile_files(folder: Path) -> list[Path]:
    """The files of a folder and its subfolders that may be tiles, sorted; no links."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.is_symlink()
    )


def _read_tile(
    path: Path, split: Split, pixels: int, dates: dict[str, dt.date]
) -> ExpertTile | RefusedFile:
    try:
        tile_id, date = _name_and_date(path.stem, split, dates)
        grid = read_tile_grid(path, pixels)
        if (label_from_codes(read_codes(path)) == UNLABELLED).all():
            raise UnusableTile("has no marked pixel")
    except UnusableTile as error:
        return RefusedFile(path, str(error))
    return ExpertTile(0, tile_id, split, date, grid, path, file_sha256(path))


def _name_and_date(stem: str, split: Split, dates: dict[str, dt.date]) -> tuple[str, dt.date]:
    if split == "test":
        for name in (stem, stem[_PREFIX_LENGTH:]):
            if name in dates and _TILE_ID.fullmatch(name):
                return name, dates[name]
        raise UnusableTile("is not in the metadata CSV")
    match = _DATED.fullmatch(stem)
    if match is None:
        raise UnusableTile("is not named dw_<lon>_<lat>-<YYYYMMDD>")
    return stem, _parse_day(match[1])


def _parse_day(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        raise UnusableTile(f"has the date {text}, which is none") from None


def _without_doubles(
    tiles: Iterable[ExpertTile],
) -> tuple[list[ExpertTile], list[RefusedFile]]:
    kept: dict[str, ExpertTile] = {}
    doubled = []
    for tile in tiles:
        first = kept.setdefault(tile.tile_id, tile)
        if first is not tile:
            doubled.append(RefusedFile(tile.path, f"has the same id as {first.path}"))
    return number_tiles(list(kept.values()), {}), doubled


def _find_metadata(folder: Path, metadata: Path | None) -> Path:
    if metadata is not None:
        return metadata
    tables = sorted(folder.rglob("*.csv"))
    if len(tables) != 1:
        raise PipelineError(
            f"{folder} holds {len(tables)} CSV files; name the metadata of the test tiles in "
            "dynamic_world.test_metadata"
        )
    return tables[0]


def _dates_by_name(path: Path) -> dict[str, dt.date]:
    """Day of the scene of each test tile, which its ``s2_system_index`` begins with."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = {"filename", "s2_system_index"} - set(rows.fieldnames or ())
            if missing:
                raise PipelineError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            return {
                (row["filename"] or "").removesuffix(".tif"): _parse_day(row["s2_system_index"][:8])
                for row in rows
            }
    except FileNotFoundError:
        raise PipelineError(
            f"the metadata {path} (dynamic_world.test_metadata) do not exist"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PipelineError(f"{path} is no CSV text: {error}") from None
    except (UnusableTile, TypeError) as error:
        raise PipelineError(f"{path}, s2_system_index: {error}") from None


def _refuse_tiles_of_train(
    train: Sequence[ExpertTile], test: Sequence[ExpertTile]
) -> tuple[list[ExpertTile], list[RefusedFile]]:
    """Take training tiles that are test tiles, too, out of training: nobody trains on the test."""
    testing = {tile.tile_id for tile in test}
    twice = [tile for tile in train if tile.tile_id in testing]
    rest = [tile for tile in train if tile.tile_id not in testing]
    return rest, [RefusedFile(tile.path, "is a test tile, too") for tile in twice]


def main(arguments: Sequence[str] | None = None) -> None:
    """List the tiles from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dynamic_world.catalogue")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--source", type=Path, required=True, help="record of the folders (JSON)")
    parser.add_argument("--output", type=Path, required=True, help="table to write (Parquet)")
    parser.add_argument("--refused", type=Path, required=True, help="list to write (text)")
    parser.add_argument(
        "--ledgers", type=Path, required=True, help="folder of the commit records of tiles stored"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = load_settings(options.settings)
    section = settings.dynamic_world
    folders = {split: Path(path) for split, path in json.loads(options.source.read_text()).items()}
    metadata = section.test_metadata
    test, refused = find_tiles(folders["test"], "test", section.test_pixels, metadata)
    found, refused_train = find_tiles(folders["train"], "train", section.train_pixels)
    train, refused_twice = _refuse_tiles_of_train(found, test)
    refused += refused_train + refused_twice
    for one in refused:
        _log.warning("%s", one)
    write_atomically(options.refused, "".join(f"{one}\n" for one in refused).encode())
    committed = committed_numbers(options.ledgers, settings)
    train, test = number_tiles(train, committed["train"]), number_tiles(test, committed["test"])
    write_tiles_table(options.output, [*train, *test])
    _log.info(
        "%d training and %d test tiles, %d files refused", len(train), len(test), len(refused)
    )


if __name__ == "__main__":
    run_step(main)
