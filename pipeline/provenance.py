"""Where one sample comes from: ``python -m pipeline.provenance STORE --sample ID``.

Scenes, grid, settings, and the request that gives its pixels again, from a finished store.
"""

import argparse
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.earthengine.pixels import request_grid
from pipeline.earthengine.queries import DW_COLLECTION, S1_COLLECTION, S2_COLLECTION
from pipeline.errors import PipelineError, run_step
from pipeline.grid import PatchGrid
from pipeline.metadata.sources import sources_of
from pipeline.metadata.store_facts import GroupFacts, StoreFacts, read_store_facts
from pipeline.sensors import cube_bands
from pipeline.store.groups import read_records, require_arrays
from pipeline.store.layout import NO_TIME

_PLACE = ("lon", "lat", "epsg", "left", "top", "x_step", "y_step")
_OF_THE_SAMPLE = (
    *("valid", "reason", "split", "label_date", "published_split", "picture_sha256"),
    *("agreement", "joint_share", "osm_share", "scene_class"),
)
_SECONDS_PER_DAY = 86_400


def sample_provenance(store: Path, sample: str, group: str | None = None) -> dict[str, Any]:
    """Everything known about where a sample comes from, as plain JSON values.

    Args:
        store: A finished store.
        sample: Its id, or its index along ``sample``.
        group: Where to look; by default every group.

    Returns:
        Store, sample, place, one entry per date with scenes and request, settings, sources.

    Raises:
        PipelineError: There is no such store or sample, or several groups have it.
    """
    facts = read_store_facts(store)
    node, number = _find(facts, sample, group)
    require_arrays(facts.path / node.name, [array.name for array in node.records])
    records = {array.name: _record(facts, node, array.name, number) for array in node.records}
    attributes = facts.attributes
    return {
        "store": {
            "name": facts.path.name,
            "title": facts.title,
            "simulated": facts.simulated,
            "source": attributes["source"],
            "layout": attributes["layout"],
            "dataset_hash": attributes["dataset_hash"],
            "code_version": attributes["code_version"],
            "settings": attributes.get("settings", {}),
        },
        "sample": {
            "id": records["id"],
            "group": node.name,
            "index": number,
            "code_version": _written_by(facts, node, number),
            **{name: records[name] for name in _OF_THE_SAMPLE if name in records},
        },
        "place": {name: records[name] for name in _PLACE if name in records},
        "dates": _dates(facts, node, records),
        "sources": [
            {"data": one.data, "licence": one.licence, "citation": one.citation, "url": one.url}
            for one in sources_of(facts.kind)
        ],
    }


def request_of(
    facts: StoreFacts, node: GroupFacts, records: dict[str, Any], assets: dict[str, str]
) -> dict[str, Any] | None:
    """The request that gave the pixels of one date; None for a store that was imported.

    It is an Earth Engine ``computePixels`` call: these bands of these assets, masked pixels filled,
    on this grid, as one NPY file. Padding, where there is any, is added afterwards.
    """
    if "settings" not in facts.attributes or not all(assets.values()):
        return None
    tiles = not facts.seasonal
    bands = {
        S2_COLLECTION: [band.name for band in cube_bands("sentinel-2")],
        S1_COLLECTION: [band.name for band in cube_bands("sentinel-1")],
        DW_COLLECTION: ["label"],
    }
    return {
        "method": "computePixels",
        "images": [
            {"asset": asset, "bands": bands[asset.rsplit("/", 1)[0]]} for asset in assets.values()
        ],
        "resampling": "bilinear" if tiles else "nearest",
        "fileFormat": "NPY",
        "grid": request_grid(_request_grid(facts, node, records)),
    }


def _request_grid(facts: StoreFacts, node: GroupFacts, records: dict[str, Any]) -> PatchGrid:
    """The grid that was asked for: that of the sample, without the border of a padded tile."""
    size = max(array.shape[-1] for array in node.pixels)
    tiles = facts.attributes["settings"].get("dynamic_world", {})
    asked = int(tiles.get(f"{records.get('published_split')}_pixels", size))
    margin = 10.0 * ((size - asked) // 2)
    left, top = records["left"] + margin, records["top"] - margin
    return PatchGrid(records["epsg"], left, top, asked, asked)


def _dates(facts: StoreFacts, node: GroupFacts, records: dict[str, Any]) -> list[dict[str, Any]]:
    seasonal = facts.seasonal
    entries = []
    for season in range(4 if seasonal else 1):
        one = {
            name: value[season] if seasonal and isinstance(value, list) else value
            for name, value in records.items()
        }
        assets = _assets(one)
        entries.append(
            {
                **({"season": season} if seasonal else {}),
                "sentinel_2": {
                    "asset": assets.get("s2"),
                    "time": one["s2_time"],
                    "cloud_cover_percent": one["cloud_cover"],
                    "mgrs_tile": one["mgrs_tile"],
                    "processing_baseline": one["processing_baseline"],
                },
                "sentinel_1": {
                    "asset": assets.get("s1"),
                    "time": one["s1_time"],
                    "orbit_pass": one["s1_orbit_pass"],
                    "relative_orbit": one["s1_relative_orbit"],
                },
                **({"label": {"asset": assets.get("dw")}} if "dw_id" in one else {}),
                "request": request_of(facts, node, one, assets),
            }
        )
    return entries


def _assets(record: dict[str, Any]) -> dict[str, str]:
    """Earth Engine assets of one date; empty names where there is no scene."""
    collections = {"s2": S2_COLLECTION, "s1": S1_COLLECTION, "dw": DW_COLLECTION}
    ids = {name: record.get(f"{name}_id") for name in collections if f"{name}_id" in record}
    return {name: f"{collections[name]}/{index}" if index else "" for name, index in ids.items()}


def _find(facts: StoreFacts, sample: str, group: str | None) -> tuple[GroupFacts, int]:
    groups = [node for node in facts.groups if group in (None, node.name)]
    if not groups:
        known = ", ".join(node.name for node in facts.groups)
        raise PipelineError(
            f"{facts.path} has no group {group}, only {known or 'the store itself'}"
        )
    found = []
    for node in groups:
        matches = np.flatnonzero(read_records(facts.path / node.name, "id") == sample).tolist()
        if not matches and sample.isdecimal() and int(sample) < node.count:
            matches = [int(sample)]
        found += [(node, number) for number in matches]
    if not found:
        raise PipelineError(
            f"{facts.path} has no sample {sample!r}; the ids are in the column id of its index"
        )
    if len(found) > 1:
        names = ", ".join(node.name for node, _ in found)
        raise PipelineError(f"sample {sample!r} is in the groups {names}; say which by --group")
    return found[0]


def _written_by(facts: StoreFacts, node: GroupFacts, number: int) -> str | None:
    """Version of the software that wrote the sample's shard; None if no index lies beside."""
    index = facts.path.with_name(f"{facts.kind}.index.parquet")
    if not index.is_file():
        return None
    wanted = [("group", "==", node.name), ("sample", "==", number)]
    try:
        if "code_version" not in pq.read_schema(index).names:
            return None
        rows = pq.read_table(index, columns=["code_version"], filters=wanted)["code_version"]
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise PipelineError(
            f"{index} cannot be read ({reason}); delete it and run "
            "`python -m pipeline.store.sample_index`"
        ) from None
    return str(rows[0]) if len(rows) else None


def _record(facts: StoreFacts, node: GroupFacts, name: str, number: int) -> Any:
    """The value of one sample as plain JSON: times as text, NaN as None."""
    units = str(node.arrays[name].attributes.get("units", ""))
    values = read_records(facts.path / node.name, name, number)
    if values.dtype == np.float32:
        # the shortest decimal, as the archive gave it
        values = np.vectorize(lambda value: float(str(value)), otypes=[float])(values)
    plain = [_plain(value, units) for value in values.reshape(-1).tolist()]
    return plain if values.ndim else plain[0]


def _plain(value: Any, units: str) -> Any:
    since_1970 = {"milliseconds since 1970-01-01": 1e-3, "days since 1970-01-01": _SECONDS_PER_DAY}
    if units in since_1970:
        if value == NO_TIME:
            return None
        moment = dt.datetime.fromtimestamp(value * since_1970[units], dt.UTC)
        return moment.isoformat(timespec="milliseconds")
    return None if isinstance(value, float) and np.isnan(value) else value


def main(arguments: Sequence[str] | None = None) -> None:
    """Print where a sample comes from."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.provenance")
    parser.add_argument("store", type=Path, help="finished store")
    parser.add_argument("--sample", required=True, help="id of the sample, or its number")
    parser.add_argument("--group", help="group of the store, if several have the sample")
    options = parser.parse_args(arguments)
    found = sample_provenance(options.store, options.sample, options.group)
    print(json.dumps(found, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    run_step(main)
