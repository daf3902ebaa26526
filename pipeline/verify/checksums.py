"""SHA-256 of a store's files; ``python -m pipeline.verify.checksums <store>`` writes them down.

The builds of ``nol.zarr`` and ``dw.zarr`` and the importers record the files of each shard when
they commit it; what they leave out (``osm.zarr``, records, coordinates) is written into
``<store>.checksums.json`` beside the store. Documents of groups are left out: statistics go into
them later.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.atomic_file import PARTIAL_SUFFIX, write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.fingerprints import file_sha256
from pipeline.store.commit import StoredFile, read_commit
from pipeline.store.create import read_attributes
from pipeline.store.metadata import ROOT_DOCUMENT
from pipeline.verify.evidence import Evidence
from pipeline.verify.findings import Finding
from pipeline.verify.stored import open_groups

CHECK = "checksums"
MEANING = (
    "files are as they were when their checksums were recorded; a finding is a lost or altered file"
)


def manifest_path(store: Path) -> Path:
    """Where the checksums of a store are written down: ``nol.checksums.json`` beside it."""
    return store.with_name(f"{store.name.removesuffix('.zarr')}.checksums.json")


def record_checksums(store: Path) -> int:
    """Write down the checksums of the files that no build or import has recorded.

    Returns:
        The number of files.

    Raises:
        PipelineError: There is no store of ours, or a record of its build is damaged.
    """
    known = _committed(store) | _imported(store)
    files = {
        key: {"sha256": file_sha256(store / key), "size": (store / key).stat().st_size}
        for key in _stored_files(store)
        if key not in known
    }
    document = {"dataset_hash": _dataset(store), "files": files}
    write_atomically(manifest_path(store), json.dumps(document, indent=1).encode() + b"\n")
    return len(files)


def recorded_files(store: Path) -> dict[str, StoredFile]:
    """What the files of a store should be, by path below it, from every record there is.

    Raises:
        PipelineError: A record is damaged.
    """
    known: dict[str, StoredFile] = {}
    for files in (_written_down(store), _imported(store), _committed(store)):
        known |= files  # what was recorded when a file was written outweighs what came later
    return known


def examine_files(store: Path, expected: Mapping[str, StoredFile], evidence: Evidence) -> None:
    """Compare files with their checksums."""
    for key, stored in expected.items():
        evidence.examined[CHECK] += 1
        path = store / key
        if not path.is_file():
            evidence.findings.append(_finding(key, "missing", stored.sha256, "the file is lost"))
            continue
        found = file_sha256(path)
        if found != stored.sha256:
            message = "the file was altered after it was written"
            evidence.findings.append(_finding(key, found, stored.sha256, message))


def unknown_files(store: Path, expected: Mapping[str, StoredFile]) -> list[Finding]:
    """Shards that no record knows, in arrays of which others are known."""
    arrays = {key.split("/c/")[0] for key in expected if "/c/" in key}
    strangers = [
        key
        for key in _stored_files(store)
        if "/c/" in key and key.split("/c/")[0] in arrays and key not in expected
    ]
    return [_finding(key, "present", "absent", "no record knows this file") for key in strangers]


def _stored_files(store: Path) -> list[str]:
    roots = {group.path / ROOT_DOCUMENT for group in open_groups(store)} | {store / ROOT_DOCUMENT}
    return sorted(
        path.relative_to(store).as_posix()
        for path in store.rglob("*")
        if path.is_file() and path not in roots and not path.name.endswith(PARTIAL_SUFFIX)
    )


def _dataset(store: Path) -> str:
    return str((read_attributes(store) or {}).get("dataset_hash", ""))


def _committed(store: Path) -> dict[str, StoredFile]:
    """From the ledgers of a build, which lie beside the store."""
    folder = {"nol.zarr": "shards", "dw.zarr": "dw/shards"}.get(store.name)
    ledgers = sorted((store.parent / folder).rglob("*.parquet")) if folder else []
    known: dict[str, StoredFile] = {}
    for ledger in ledgers:
        known |= read_commit(ledger, _dataset(store)).files
    return known


def _imported(store: Path) -> dict[str, StoredFile]:
    """From the commits of an import; their keys are below the group."""
    folder = store.with_name(f"{store.name}.import") / "commits"
    known: dict[str, StoredFile] = {}
    for commit in sorted(folder.glob("*/*/*.json")):
        group = commit.parts[-3]
        prefix = "" if group == "_" else f"{group}/"
        files = _stored(commit, _read(commit)["files"])
        known |= {prefix + key: stored for key, stored in files.items()}
    return known


def _written_down(store: Path) -> dict[str, StoredFile]:
    path = manifest_path(store)
    if not path.is_file():
        return {}
    document = _read(path)
    if document.get("dataset_hash") != _dataset(store):
        raise PipelineError(
            f"{path} was written for another dataset; delete it and record the checksums again"
        )
    return _stored(path, document["files"])


def _read(path: Path) -> dict[str, Any]:
    try:
        document = dict(json.loads(path.read_bytes()))
        outside = [
            key for key in document["files"] if key.startswith("/") or ".." in key.split("/")
        ]
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None
    if outside:
        raise PipelineError(f"{path} names {outside[0]!r}, which is outside the store; delete it")
    return document


def _stored(path: Path, files: Mapping[str, Any]) -> dict[str, StoredFile]:
    try:
        return {key: StoredFile(**entry) for key, entry in files.items()}
    except (TypeError, AttributeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> PipelineError:
    return PipelineError(f"{path} is damaged; delete it and record checksums again")


def _finding(key: str, value: str, limit: str, message: str) -> Finding:
    return Finding(CHECK, key.split("/c/")[0], "", None, value, limit, f"{key}: {message}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write down the checksums of a store."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.verify.checksums")
    parser.add_argument("store", type=Path, help="finished store")
    options = parser.parse_args(arguments)
    count = record_checksums(options.store)
    print(f"checksums of {count} files: {manifest_path(options.store)}")


if __name__ == "__main__":
    run_step(main)
