"""One task of a verification: everything that is to be known of one shard, read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.store.commit import StoredFile
from pipeline.store.damage import LostFile
from pipeline.tile_statistics import pixels_that_count
from pipeline.verify.alignment import examine_alignment
from pipeline.verify.checksums import examine_files
from pipeline.verify.classes import examine_classes
from pipeline.verify.colours import examine_colours
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.stored import Sample, SampleReader, StoredGroup, open_groups
from pipeline.verify.values import examine_values

READABLE_CHECK = "readable"
READABLE_MEANING = (
    "every chunk fits its checksum and can be decoded, records have all their files; a finding is "
    "a damaged or lost file"
)


@dataclass(frozen=True)
class SampleRow:
    """What a task must know of a sample.

    Attributes:
        index: Along the first axis.
        id: As recorded.
        valid: As recorded.
        split: As recorded.
        records: Others that a check needs.
    """

    index: int
    id: str
    valid: bool
    split: str
    records: Mapping[str, Any] = field(default_factory=dict)


def examine_shard(
    store: Path, group_name: str, rows: tuple[SampleRow, ...], files: Mapping[str, StoredFile]
) -> Evidence:
    """Make every check that needs pixels or files of one shard.

    One sample is in memory at a time.

    Args:
        store: Folder of the store.
        group_name: Group the shard belongs to; empty for the store itself.
        rows: Its samples.
        files: What its files should be.
    """
    evidence = Evidence()
    examine_files(store, files, evidence)
    (group,) = (group for group in open_groups(store) if group.name == group_name)
    with SampleReader(group) as reader:
        for row in rows:
            evidence.examined[READABLE_CHECK] += 1
            try:
                pixels = reader.read_if_there(row.index)
            except PipelineError as error:
                evidence.findings.append(_unreadable(group, row, error))
                continue
            sample = Sample(group, row.index, row.id, row.valid, row.split, pixels, row.records)
            _examine_sample(sample, evidence)
    return evidence


def lost_records(groups: Sequence[StoredGroup]) -> list[Finding]:
    """The arrays without pixels that have lost a file, and whose values nobody can judge.

    Raises:
        PipelineError: One is damaged.
    """
    findings = []
    for group in groups:
        for name in group.record_names:
            try:
                group.record(name)
            except LostFile as error:
                record = group.label(name)
                text = str(error)
                findings.append(Finding(READABLE_CHECK, record, "", None, "lost", "a file", text))
    return findings


def _examine_sample(sample: Sample, evidence: Evidence) -> None:
    examine_values(sample, evidence)
    if not sample.valid:
        return
    _add_sums(sample, evidence)
    if sample.group.imported and not _whole(sample):
        return
    examine_alignment(sample, evidence)
    examine_colours(sample, evidence)
    examine_classes(sample, evidence)


def _whole(sample: Sample) -> bool:
    """Whether every array has data: an imported sample may lack optional ones."""
    arrays = sample.group.arrays
    return all(bool(np.any(sample.pixels[a.name] != a.nodata)) for a in arrays if not a.ids)


def _add_sums(sample: Sample, evidence: Evidence) -> None:
    """The exact sums that statistics are made of."""
    imagery = {array.name: array.nodata for array in sample.group.arrays if array.bands}
    counting = pixels_that_count(imagery, sample.pixels)
    scenes = [(sample.split, season) for season in range(sample.group.seasons)]
    for array in sample.group.arrays:
        pixels = sample.pixels[array.name]
        if array.bands:
            evidence.sums.add_scenes(scenes, array.bands, pixels, counting[array.name])
        elif array.name == "label":
            for scene, labels in zip(scenes, pixels, strict=True):
                evidence.sums.add_labels(scene, labels)


def _unreadable(group: StoredGroup, row: SampleRow, error: PipelineError) -> Finding:
    text = " ".join(str(error).split("\n"))
    where = group.name or "store"
    return Finding(READABLE_CHECK, where, row.id, None, "damaged", "decodable", text)
