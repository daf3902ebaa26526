"""A whole verification: a task per shard, merged as a tree, then the checks over all of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.dask_cluster import map_and_merge
from pipeline.fingerprints import code_version
from pipeline.statistics import figures as season_figures
from pipeline.store.commit import StoredFile
from pipeline.store.groups import store_attributes
from pipeline.store.tile_layout import TILE_LAYOUT
from pipeline.tile_statistics import tile_figures
from pipeline.verify import (
    alignment,
    checksums,
    classes,
    colours,
    figures,
    ground,
    records,
    shard,
    values,
)
from pipeline.verify.evidence import Evidence, merge_evidence
from pipeline.verify.findings import Finding, Verification, verification
from pipeline.verify.pairs import merge_seasons
from pipeline.verify.shard import SampleRow, examine_shard
from pipeline.verify.stored import StoredGroup, open_groups

CHECKS = (
    (checksums.CHECK, checksums.MEANING),
    (shard.READABLE_CHECK, shard.READABLE_MEANING),
    (records.IDS_CHECK, records.IDS_MEANING),
    (records.GRIDS_CHECK, records.GRIDS_MEANING),
    (values.VALIDITY_CHECK, values.VALIDITY_MEANING),
    (values.RANGES_CHECK, values.RANGES_MEANING),
    (classes.CHECK, classes.MEANING),
    (alignment.CHECK, alignment.MEANING),
    (ground.CHECK, ground.MEANING),
    (colours.BANDS_CHECK, colours.BANDS_MEANING),
    (colours.OFFSET_CHECK, colours.OFFSET_MEANING),
    (figures.RECORDED_CHECK, figures.RECORDED_MEANING),
    (figures.PUBLISHED_CHECK, figures.PUBLISHED_MEANING),
)
"""Every check and what a finding of it means, in the order of the report."""

_SAMPLE_RECORDS = ("agreement",)

_COUNTED = shard.READABLE_CHECK, values.VALIDITY_CHECK
"""Checks that tell which samples are there."""


def verify_store(store: Path) -> Verification:
    """Re-check a store of any of our layouts, on whatever Dask is set to.

    The result is the same for the same store and code, however the work is spread. Where records
    are lost, nothing but files is checked: the rest would be judged by values that are none.

    Args:
        store: Folder of the store, built or imported.

    Raises:
        PipelineError: There is no store of ours, or a record beside it is damaged.
    """
    groups = open_groups(store)
    expected = checksums.recorded_files(store)
    lost = shard.lost_records(groups)
    whole = _files_alone(store, expected, lost) if lost else _everything(store, groups, expected)
    return verification(
        store.name,
        bool(groups[0].attributes.get("simulated")),
        code_version(),
        [(name, whole.examined[name], meaning) for name, meaning in CHECKS],
        whole.findings,
        whole.omitted,
    )


def _files_alone(
    store: Path, expected: Mapping[str, StoredFile], lost: Sequence[Finding]
) -> Evidence:
    evidence = Evidence()
    evidence.examined[shard.READABLE_CHECK] += len(lost)
    evidence.findings += lost
    checksums.examine_files(store, expected, evidence)
    evidence.findings += checksums.unknown_files(store, expected)
    return merge_evidence([evidence])


def _everything(
    store: Path, groups: tuple[StoredGroup, ...], expected: Mapping[str, StoredFile]
) -> Evidence:
    evidence = Evidence()
    records.examine_records(groups, evidence)
    parts = list(_parts(groups, expected))
    in_parts = {key for *_, files in parts for key in files}
    rest = {key: stored for key, stored in expected.items() if key not in in_parts}
    checksums.examine_files(store, rest, evidence)
    evidence.findings += checksums.unknown_files(store, expected)
    gathered = map_and_merge(examine_shard, parts, merge_evidence, f"verify {store.name}")
    whole = merge_evidence([evidence, *([gathered] if gathered else [])])
    _conclude(groups, whole)
    return whole


def _parts(
    groups: tuple[StoredGroup, ...], expected: Mapping[str, StoredFile]
) -> Iterator[tuple[Path, str, tuple[SampleRow, ...], dict[str, StoredFile]]]:
    """The arguments of `examine_shard`, shard by shard."""
    for group in groups:
        rows = _sample_rows(group)
        for number in range(-(-group.count // group.shard_size)):
            first = number * group.shard_size
            keys = [group.label(array.shard_key(number)) for array in group.arrays]
            files = {key: expected[key] for key in keys if key in expected}
            yield group.store, group.name, tuple(rows[first : first + group.shard_size]), files


def _sample_rows(group: StoredGroup) -> list[SampleRow]:
    columns = {name: group.record(name) for name in ("id", "valid", "split")}
    more = {name: group.record(name) for name in _SAMPLE_RECORDS if name in group.record_names}
    return [
        SampleRow(
            index,
            str(columns["id"][index]),
            bool(columns["valid"][index]),
            str(columns["split"][index]),
            {name: float(values[index]) for name, values in more.items()},
        )
        for index in range(group.count)
    ]


def _conclude(groups: tuple[StoredGroup, ...], evidence: Evidence) -> None:
    """What shows over the whole store only."""
    by_name = {group.name: group for group in groups}
    pairs = merge_seasons(_pools(evidence, alignment.CHECK))
    displaced = alignment.displacements(pairs)
    evidence.findings += alignment.conclude_alignment(displaced, pairs, by_name)
    in_place = {key: values for key, values in pairs.items() if key not in displaced}
    evidence.findings += ground.conclude_ground(in_place)
    evidence.findings += colours.conclude_colours(_pools(evidence, colours.BANDS_CHECK), by_name)
    evidence.findings += classes.conclude_classes(_pools(evidence, classes.CHECK), by_name)
    store = groups[0].store
    attributes = store_attributes(store, ())
    recorded = attributes.get("statistics")
    # Those of a cube are of the native pixels it was made of, of which there are fewer.
    is_cube = attributes.get("rechunked", {}).get("form") == "cube"
    compared = [(figures.PUBLISHED_CHECK, figures.compare_published(evidence.sums))]
    # Samples that are lost count as nothing: every figure would differ, and say nothing more.
    all_there = not any(one.check in _COUNTED for one in evidence.findings)
    if recorded is not None and not is_cube and all_there:
        in_tiles = attributes["layout"] == TILE_LAYOUT
        names, sums = list(by_name), evidence.sums
        found = tile_figures(store, names, sums) if in_tiles else season_figures(sums)
        compared.append((figures.RECORDED_CHECK, figures.compare_recorded(recorded, found)))
    for check, (count, findings) in compared:
        evidence.examined[check] += count
        evidence.findings += findings


def _pools(evidence: Evidence, check: str) -> dict[Any, Any]:
    return {key: values for key, values in evidence.pools.items() if key[0] == check}
