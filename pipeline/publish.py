"""Copies a store to object storage, shard by shard as they come: ``python -m pipeline.publish``.

A build writes to a disk that its jobs share; what it has finished is copied to the bucket that the
setting `publish` names. Every object carries the SHA-256 of its content, so that the same command
sends only what is missing or differs. The objects that make samples, a group and the store visible
go last, in this order and after all else has been found in the bucket: a reader sees the store as
it was, or as it is, and what is there in part is no store.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from pipeline.atomic_file import PARTIAL_SUFFIX, write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.fingerprints import file_sha256
from pipeline.settings.tree import load_settings
from pipeline.store.commit import Commit, read_commit
from pipeline.store.create import read_attributes
from pipeline.store.groups import group_names
from pipeline.store.layout import VALID
from pipeline.store.metadata import ROOT_DOCUMENT, json_bytes
from pipeline.store.object_upload import Bucket

_UPLOADS_AT_ONCE = 8
_TOLD_EVERY_S = 5.0


@dataclass(frozen=True)
class Published:
    """What a command left in the bucket.

    Attributes:
        url: Where.
        files: SHA-256 of each file by its name below the URL.
        sent: How many of them were not there before.
        sent_bytes: Their size.
    """

    url: str
    files: dict[str, str]
    sent: int
    sent_bytes: int

    def record(self) -> bytes:
        """Where the files lie and what they are, as JSON; the same whoever sent them."""
        return json_bytes({"url": self.url, "files": self.files})

    def summary(self) -> str:
        """One line for the screen."""
        return (
            f"{self.url}: {len(self.files)} files, {self.sent} of them sent "
            f"({self.sent_bytes / 1e6:.1f} MB)"
        )


def publish_shard(store: Path, ledger: Path, dataset: str, url: str) -> Published:
    """Copy the files of a committed shard.

    Args:
        store: Folder of the store.
        ledger: The shard's commit record.
        dataset: `Settings.dataset_hash`.
        url: Where the store goes.

    Raises:
        PipelineError: A file is not as it was committed, another store is at the URL, or the
            bucket cannot be reached or written to.
    """
    bucket = Bucket(url)
    _refuse_other_store(store, bucket)
    commit = read_commit(ledger, dataset)
    _require_committed(store, commit, ledger)
    return _send(bucket, store, list(commit.files))


def publish_store(store: Path, url: str, beside: Sequence[Path] = ()) -> Published:
    """Copy a whole store, and files that lie beside it.

    Args:
        store: Folder of the store; nobody may be writing to it.
        url: Where the store goes.
        beside: Files such as its index; they go to where the store goes, not into it.

    Raises:
        PipelineError: There is no store, another one is at the URL, or the bucket cannot be
            reached or written to.
    """
    if not (store / ROOT_DOCUMENT).is_file():
        raise PipelineError(f"there is no store at {store}; build it before it is published")
    bucket = Bucket(url)
    _refuse_other_store(store, bucket)
    hidden, *shown = _stages(store)
    published = [_send(bucket, store, hidden)]
    _require_all(bucket, store, hidden)
    published += [_send(bucket, store, names) for names in shown]
    published.append(_send(Bucket(bucket.parent), store.parent, _names_beside(store, beside)))
    return Published(
        url,
        {f"{store.name}/{name}": sha for part in published[:-1] for name, sha in part.files.items()}
        | published[-1].files,
        sum(part.sent for part in published),
        sum(part.sent_bytes for part in published),
    )


def _names(store: Path) -> list[str]:
    files = (file for file in store.rglob("*") if file.is_file())
    return sorted(
        file.relative_to(store).as_posix()
        for file in files
        if not file.name.endswith(PARTIAL_SUFFIX)
    )


def _stages(store: Path) -> list[list[str]]:
    """All files: what nobody sees, what makes samples visible, then groups, then the store."""
    attributes = read_attributes(store) or {}
    groups = [group for group in group_names(store, attributes) if group]
    flags = [f"{VALID.name}/c/", *(f"{group}/{VALID.name}/c/" for group in groups)]
    documents = {f"{group}/{ROOT_DOCUMENT}" for group in groups}
    stages: list[list[str]] = [[], [], [], []]
    for name in _names(store):
        stage = 1 if name.startswith(tuple(flags)) else 2 if name in documents else 0
        stages[3 if name == ROOT_DOCUMENT else stage].append(name)
    return stages


def _names_beside(store: Path, beside: Iterable[Path]) -> list[str]:
    for file in beside:
        if file.parent.resolve() != store.parent.resolve():
            raise PipelineError(f"{file} does not lie beside {store}; publish it on its own")
    return [file.name for file in beside]


def _send(bucket: Bucket, folder: Path, names: Sequence[str]) -> Published:
    """Copy files, several at a time."""
    hashes: dict[str, str] = {}
    sent = sent_bytes = 0
    told = time.monotonic()
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        pending = [pool.submit(_bring_up_to_date, bucket, folder, name) for name in names]
        try:
            for future in as_completed(pending):
                name, hashes[name], size = future.result()
                sent += size is not None
                sent_bytes += size or 0
                if time.monotonic() - told >= _TOLD_EVERY_S:
                    told = time.monotonic()
                    print(f"{len(hashes)} of {len(names)} files", file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Published(bucket.url, {name: hashes[name] for name in names}, sent, sent_bytes)


def _bring_up_to_date(bucket: Bucket, folder: Path, name: str) -> tuple[str, str, int | None]:
    """Send a file if need be; its name, its SHA-256, and its bytes if they were sent."""
    sha256 = file_sha256(folder / name)
    sent = bucket.bring_up_to_date(name, folder / name, sha256)
    return name, sha256, (folder / name).stat().st_size if sent else None


def _require_committed(store: Path, commit: Commit, ledger: Path) -> None:
    for key, file in commit.files.items():
        path = store / key
        if not path.is_file() or file_sha256(path) != file.sha256:
            raise PipelineError(
                f"{path} is missing or not as it was committed; delete {ledger} and run the same "
                "command again"
            )


def _require_all(bucket: Bucket, store: Path, names: Sequence[str]) -> None:
    """Compare names and sizes of what was sent."""
    there = bucket.sizes()
    for name in names:
        size = (store / name).stat().st_size
        if there.get(name) != size:
            raise PipelineError(
                f"{bucket.url}/{name} has {there.get(name, 'no')} bytes where {store / name} has "
                f"{size}; is something else writing there? Run the same command again"
            )


def _refuse_other_store(store: Path, bucket: Bucket) -> None:
    there = bucket.read(ROOT_DOCUMENT)
    if there is None:
        return
    ours = (read_attributes(store) or {}).get("dataset_hash")
    try:
        theirs = json.loads(there)["attributes"]["dataset_hash"]
    except (ValueError, KeyError, TypeError):
        theirs = "not one of ours"
    if ours != theirs:
        raise PipelineError(
            f"another store is at {bucket.url} (dataset {theirs}, not {ours}); choose another "
            "place for `publish`, another name, or remove it"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.publish", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="store to copy")
    parser.add_argument("--url", required=True, help="where it goes, such as s3://bucket/nol.zarr")
    parser.add_argument("--ledger", type=Path, help="only the shard that this record commits")
    parser.add_argument("--settings", type=Path, help="resolved settings (YAML); with --ledger")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="files beside the store")
    parser.add_argument("--record", type=Path, required=True, help="where to note what was copied")
    options = parser.parse_args(arguments)
    if options.ledger is None:
        published = publish_store(options.store, options.url, options.beside)
    elif options.settings is None:
        parser.error("--ledger needs --settings")
    else:
        dataset = load_settings(options.settings).dataset_hash()
        published = publish_shard(options.store, options.ledger, dataset, options.url)
    write_atomically(options.record, published.record())
    print(published.summary())


if __name__ == "__main__":
    run_step(main)
