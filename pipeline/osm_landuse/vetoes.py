"""What people decided when they reviewed the test tiles; the build honours it.

A veto is a row of a CSV file: ``tile_id, action, label, note``. Action ``drop`` leaves the tile
out, ``correct`` takes its labels from a GeoTIFF named in ``label``, relative to the CSV.
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend

VETO_COLUMNS = ("tile_id", "action", "label", "note")


class Action(StrEnum):
    """What a veto does to a tile."""

    DROP = "drop"
    CORRECT = "correct"


@dataclass(frozen=True)
class Veto:
    """One row of the file.

    Attributes:
        tile_id: The tile.
        action: See `Action`.
        label: GeoTIFF of corrected labels; None unless the action is ``correct``.
        note: The reviewer's reason.
    """

    tile_id: str
    action: Action
    label: Path | None
    note: str


def read_vetoes(path: Path) -> dict[str, Veto]:
    """The vetoes of a file by tile id.

    Raises:
        PipelineError: The file is missing, a row is not a veto (names the line), or a label that
            it names does not exist.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a BOM
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or ())
            vetoes = [_veto(path, reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise PipelineError(f"the vetoes {path} (osm_landuse.vetoes) do not exist") from None
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise PipelineError(f"the vetoes {path} are no CSV text in UTF-8: {error}") from None
    by_tile = {veto.tile_id: veto for veto in vetoes}
    if len(by_tile) < len(vetoes):
        ids = [veto.tile_id for veto in vetoes]
        doubled = sorted({tile_id for tile_id in ids if ids.count(tile_id) > 1})
        raise PipelineError(f"{path} decides twice on {', '.join(doubled)}; keep one row each")
    return by_tile


def veto_files(path: Path) -> list[Path]:
    """The file of the vetoes and the labels that it names: all that decides what they do.

    Raises:
        PipelineError: As `read_vetoes`.
    """
    return [path, *(veto.label for veto in read_vetoes(path).values() if veto.label is not None)]


def veto_rows(path: Path) -> list[list[str]]:
    """The rows of a file of vetoes as it has them, in the order of `VETO_COLUMNS`.

    Raises:
        PipelineError: As `read_vetoes`.
    """
    return [
        [
            veto.tile_id,
            veto.action.value,
            os.path.relpath(veto.label, path.parent) if veto.label else "",
            veto.note,
        ]
        for veto in read_vetoes(path).values()
    ]


def _check_columns(path: Path, found: Sequence[str]) -> None:
    missing = [column for column in VETO_COLUMNS if column not in found]
    if missing:
        raise PipelineError(f"{path} lacks the columns {', '.join(missing)}")


def _veto(path: Path, line: int, row: dict[str, str]) -> Veto:
    action = (row["action"] or "").strip()
    label = (row["label"] or "").strip()
    if action not in list(Action):
        raise PipelineError(f"{path} line {line}: action {action!r} is neither drop nor correct")
    if (action == Action.CORRECT) != bool(label):
        raise PipelineError(
            f"{path} line {line}: correct needs a label file and drop takes none, got {label!r}"
        )
    if label and not (path.parent / label).is_file():
        raise PipelineError(f"{path} line {line}: the label {path.parent / label} does not exist")
    return Veto(
        tile_id=(row["tile_id"] or "").strip(),
        action=Action(action),
        label=path.parent / label if label else None,
        note=(row["note"] or "").strip(),
    )


def corrected_label(path: Path, grid: PatchGrid) -> NDArray[np.uint8]:
    """Labels that a reviewer drew, checked to lie on the tile's grid.

    Returns:
        (y, x) uint8, ids of the legend ``osm_landuse``, 255 = no label.

    Raises:
        PipelineError: The file is missing, on another grid, or holds other values.
    """
    try:
        with rasterio.open(path) as file:
            on_grid = (file.height, file.width) == grid.shape and file.crs == grid.crs
            if not on_grid or not file.transform.almost_equals(grid.transform, 1e-3):
                raise PipelineError(f"the corrected label {path} is not on its tile's grid, {grid}")
            values = file.read(1)
    except RasterioIOError as error:
        raise PipelineError(f"the corrected label {path} cannot be read: {error}") from None
    classes = len(load_legend("osm_landuse"))
    foreign = values[(values >= classes) & (values != UNLABELLED) | (values < 0)]
    if foreign.size:
        raise PipelineError(
            f"the corrected label {path} holds {foreign[0]}; allowed are 0 to {classes - 1} "
            "(the paper's number minus 1) and 255 for no label"
        )
    label: NDArray[np.uint8] = values.astype(np.uint8)
    return label
