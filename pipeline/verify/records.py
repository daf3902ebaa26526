"""Checks of what a store says of its samples, without pixels: ids, index, grids, coordinates."""

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyproj import Geod

from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid, is_snapped
from pipeline.store.groups import read_records
from pipeline.store.layout import NATIVE_LAYOUT
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.limits import load_limits
from pipeline.verify.stored import StoredGroup

IDS_CHECK = "ids"
IDS_MEANING = "ids are unique and the index says what the store says; a finding is a mix-up"
GRIDS_CHECK = "grids"
GRIDS_MEANING = (
    "corners, places and coordinates of the samples agree; a finding is a wrong georeference"
)

_LATTICE_M = 10.0
_ID_COLUMNS = ("id", "location_id")
_SINGLE_PRECISION = 2e-7
"""Relative; some records are stored as float32."""

_FIRST_DAY = dt.date(1970, 1, 1).toordinal()
_EARTH = Geod(ellps="WGS84")


def examine_records(groups: Sequence[StoredGroup], evidence: Evidence) -> None:
    """Look at the records of all groups of a store."""
    _unique_ids(groups, evidence)
    index = index_path(groups[0].store)
    if index.is_file():
        table = _read_index(index)
        for group in groups:
            _compare_index(group, table, index.name, evidence)
    for group in groups:
        _check_coordinates(group, evidence)
        located = {"left", "top", "epsg", "lon", "lat"} <= set(group.record_names)
        # Others' corners follow no lattice of ours, and some name the corner of another product.
        if located and not group.imported:
            _check_grids(group, evidence)


def index_path(store: Path) -> Path:
    """Where the index of a store lies: ``nol.index.parquet`` beside ``nol.zarr``."""
    return store.with_name(f"{store.name.removesuffix('.zarr')}.index.parquet")


def _read_index(index: Path) -> pa.Table:
    try:
        table = pq.read_table(index, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        text = str(error).split("\n", 1)[0]
        raise PipelineError(
            f"{index} cannot be read ({text}); delete it and run "
            "`python -m pipeline.store.sample_index`"
        ) from None
    if not set(_ID_COLUMNS) & set(table.column_names):
        raise PipelineError(
            f"{index} has no column of ids ({' or '.join(_ID_COLUMNS)}); delete it and run "
            "`python -m pipeline.store.sample_index`"
        )
    return table


def _unique_ids(groups: Sequence[StoredGroup], evidence: Evidence) -> None:
    owners: Counter[str] = Counter()
    for group in groups:
        ids, valid = group.record("id"), group.record("valid")
        evidence.examined[IDS_CHECK] += len(ids)
        owners.update(str(name) for name in ids if name)
        for sample in np.flatnonzero(valid & (ids == "")):
            found = ("", f"sample {sample}", "an id", "a valid sample has no id")
            evidence.findings.append(_of_record(IDS_CHECK, group, "id", *found))
    for name, count in owners.items():
        if count > 1:
            where = groups[0].label("id") if len(groups) == 1 else "id"
            text = "several samples have this id; splits may share ground"
            evidence.findings.append(
                Finding(IDS_CHECK, where, name, None, f"{count} samples", "1", text)
            )


def _compare_index(group: StoredGroup, table: pa.Table, name: str, evidence: Evidence) -> None:
    if "group" in table.column_names:
        table = table.filter(pc.equal(table["group"], group.name))
    column = next(column for column in _ID_COLUMNS if column in table.column_names)
    ids = [str(one) for one in group.record("id")]
    rows = {str(one): row for row, one in enumerate(table[column].to_pylist())}
    _compare_ids(group, ids, rows, _valid_rows(table, column), name, evidence)
    samples = [number for number in range(group.count) if ids[number] in rows]
    chosen = table.take(pa.array([rows[ids[number]] for number in samples], pa.int64()))
    shared = [one for one in (*group.record_names, "valid") if one in table.column_names]
    for record in dict.fromkeys(shared):
        stored = group.record(record)
        for number, indexed in zip(samples, chosen[record].to_pylist(), strict=True):
            evidence.examined[IDS_CHECK] += 1
            if not _same(stored[number], indexed):
                value, limit = str(_plain(stored[number])), f"{_plain(indexed)} in {name}"
                text = f"{record} of the store and of the index differ"
                found = (ids[number], value[:80], limit[:120], text)
                evidence.findings.append(_of_record(IDS_CHECK, group, record, *found))


def _compare_ids(
    group: StoredGroup,
    ids: Sequence[str],
    rows: Mapping[str, int],
    valid_rows: set[str],
    name: str,
    evidence: Evidence,
) -> None:
    """Valid samples that only the store or only the index knows."""
    kept = {one for one, valid in zip(ids, group.record("valid"), strict=True) if valid}
    only_here = dict.fromkeys(sorted(kept - rows.keys()), "the index lacks this sample")
    only_there = dict.fromkeys(sorted(valid_rows - set(ids)), "the store lacks this sample")
    for one, text in (only_here | only_there).items():
        found = (one, "absent", f"in the store and in {name}", text)
        evidence.findings.append(_of_record(IDS_CHECK, group, "id", *found))


def _valid_rows(table: pa.Table, column: str) -> set[str]:
    """Ids of the samples that an index calls valid."""
    if "valid" not in table.column_names:
        return set()
    return set(map(str, table.filter(pc.equal(table["valid"], True))[column].to_pylist()))


def _same(stored: Any, indexed: Any) -> bool:
    """Whether a value of the store is that of the index; what one of them lacks is the same."""
    if isinstance(indexed, list):
        values = np.atleast_1d(stored)  # tiles have one date: a list of one in the index
        return len(values) == len(indexed) and all(map(_same, values, indexed))
    one, other = _plain(stored), _plain(indexed)
    if one is None or other is None:
        return one is None and other is None
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(float(one), float(other), rel_tol=_SINGLE_PRECISION)
    return bool(one == other)


def _plain(value: Any) -> Any:
    """A value as comparable on both sides: moments as milliseconds, nothing as None."""
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    if hasattr(value, "isoformat"):
        return value.toordinal() - _FIRST_DAY
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    absent = value is None or value == "" or value == -(2**63) or value != value
    return None if absent else value


def _check_coordinates(group: StoredGroup, evidence: Evidence) -> None:
    """The axes x and y hold the centres of the pixels, in metres from the corner."""
    for folder in sorted(group.path.glob("[xy]*")):
        axis, _, suffix = folder.name.partition("_")
        if axis not in "xy" or not (folder / "zarr.json").is_file():
            continue
        centres = read_records(group.path, folder.name)
        if centres.ndim != 1 or (suffix and not suffix.endswith("m")):
            continue
        evidence.examined[GRIDS_CHECK] += 1
        size = float(suffix.removesuffix("m")) if suffix else _LATTICE_M
        expected = size * (np.arange(len(centres)) + 0.5) * (1 if axis == "x" else -1)
        if not np.array_equal(centres, expected):
            text = "the coordinates of the pixel centres are not those of the grid"
            found = ("", f"from {centres[0]}", f"from {expected[0]}", text)
            evidence.findings.append(_of_record(GRIDS_CHECK, group, folder.name, *found))


def _check_grids(group: StoredGroup, evidence: Evidence) -> None:
    records = {name: group.record(name) for name in ("id", "valid", "epsg", "left", "top")}
    size = max(array.shape[-1] for array in group.arrays)
    places = np.stack([group.record("lon"), group.record("lat")], axis=1)
    for sample in np.flatnonzero(records["valid"]):
        evidence.examined[GRIDS_CHECK] += 1
        name = str(records["id"][sample])
        corner = {key: float(records[key][sample]) for key in ("left", "top")}
        grid = PatchGrid(int(records["epsg"][sample]), **corner, height=size, width=size)
        for found in _wrong_grid(group, grid, places[sample]):
            evidence.findings.append(_of_record(GRIDS_CHECK, group, found[0], name, *found[1:]))


def _wrong_grid(
    group: StoredGroup, grid: PatchGrid, place: NDArray[np.float64]
) -> list[tuple[str, str, str, str]]:
    """Record, value, limit and message of what is wrong with one grid."""
    if not (32601 <= grid.epsg <= 32660 or 32701 <= grid.epsg <= 32760):
        return [("epsg", str(grid.epsg), "326xx or 327xx", "the grid is in no UTM zone")]
    if not np.isfinite([grid.left, grid.top]).all():
        return [("left", f"left {grid.left}, top {grid.top}", "metres", "the corner is not known")]
    wrong = []
    corner = f"left {grid.left:.2f}, top {grid.top:.2f}"
    if group.attributes.get("layout") == NATIVE_LAYOUT and not is_snapped(grid):
        text = "the corner is off the 60 m lattice on which the bands nest: a shifted grid"
        wrong.append(("left", corner, "a multiple of 60 m", text))
    *_, metres = _EARTH.inv(*grid.centre_lonlat, *place)
    limit = load_limits().place_distance_m
    if not metres <= limit:
        text = "longitude and latitude are not those of the grid's centre"
        wrong.append(("lon", f"{metres:.0f} m from the centre of the grid", f"{limit:g} m", text))
    return wrong


def _of_record(
    check: str, group: StoredGroup, record: str, name: str, value: str, limit: str, text: str
) -> Finding:
    return Finding(check, group.label(record), name, None, value, limit, text)
