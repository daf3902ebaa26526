"""The commit record of a shard: its ledger, with the hash and size of the files it vouches for.

It is written after the files, so a shard counts once its ledger is there.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.fingerprints import code_version, file_sha256
from pipeline.ledger import SeasonRecord, Status, read_notes, read_records, write_records

_NOTE = "shard_files"
_VERSION_NOTE = "code_version"


@dataclass(frozen=True)
class StoredFile:
    """One file of a shard.

    Attributes:
        sha256: Of its bytes, hexadecimal.
        size: Bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True)
class Commit:
    """A shard that was written.

    Attributes:
        records: Rows of its ledger.
        files: By path below the store.
        code_version: Of the software that wrote them.
        notes: Other texts that `write_commit` was given, by name.
    """

    records: list[SeasonRecord]
    files: dict[str, StoredFile]
    code_version: str
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def samples(self) -> list[int]:
        """Every sample of the shard, kept or not, ascending."""
        return sorted({record.sample for record in self.records})

    @property
    def kept_samples(self) -> list[int]:
        """The samples whose pixels are in the store, ascending."""
        return sorted({row.sample for row in self.records if row.status is Status.DONE})


def write_commit(
    ledger: Path,
    records: Sequence[SeasonRecord],
    store_path: Path,
    hashes: Mapping[str, str],
    dataset: str,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Commit a shard, atomically.

    Args:
        ledger: Parquet file to write.
        records: Rows, none of them failed or open.
        store_path: The store that holds the files.
        hashes: What `write_shard` returned.
        dataset: `Settings.dataset_hash`.
        notes: Texts to keep with it, by name.
    """
    files = {
        key: {"sha256": sha256, "size": (store_path / key).stat().st_size}
        for key, sha256 in hashes.items()
    }
    own = {_NOTE: json.dumps(files), _VERSION_NOTE: code_version()}
    write_records(ledger, records, dataset, {**(notes or {}), **own})


def read_commit(ledger: Path, dataset: str) -> Commit:
    """Read the commit record of a shard.

    Raises:
        PipelineError: It is missing, damaged, or of another dataset.
    """
    records = read_records(ledger, dataset)
    try:
        notes = read_notes(ledger)
        entries = json.loads(notes.pop(_NOTE))
        files = {key: StoredFile(**entry) for key, entry in entries.items()}
    except (KeyError, ValueError, TypeError):
        raise PipelineError(
            f"{ledger} does not say which files it commits; delete it and run the same command"
        ) from None
    return Commit(records, files, notes.pop(_VERSION_NOTE, ""), notes)


def damaged_files(store_path: Path, commit: Commit, thorough: bool) -> list[Path]:
    """The files of a shard that are missing or altered.

    Args:
        store_path: The store.
        commit: What the files should be.
        thorough: Compare hashes too, which reads every byte; else sizes only.
    """
    return [
        store_path / key
        for key, stored in commit.files.items()
        if not _intact(store_path / key, stored, thorough)
    ]


def _intact(path: Path, stored: StoredFile, thorough: bool) -> bool:
    if not path.is_file() or path.stat().st_size != stored.size:
        return False
    return not thorough or file_sha256(path) == stored.sha256
