"""Stores as a folder for a dataset repository: ``python -m pipeline.export hub_folder``.

Files of the stores are linked, not copied, so the folder needs no room of its own.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.errors import PipelineError
from pipeline.export.hub_limits import HubFile, files_below, hub_file
from pipeline.store.create import read_attributes

CARD = "README.md"


def dataset_files(results: Path, stores: Sequence[str]) -> list[HubFile]:
    """What a dataset repository consists of: card, stores, their indices and metadata.

    Args:
        results: Folder of a dataset, such as ``results/demo``.
        stores: Names such as "nol"; none means all that are there.

    Raises:
        PipelineError: A store or the card is not there.
    """
    card = results / CARD
    if not card.is_file():
        raise PipelineError(
            f"there is no dataset card at {card}; run `snakemake describe` first, which writes it"
        )
    files = [hub_file(card, PurePosixPath(CARD))]
    for name in stores or _stores_in(results):
        files += _store_files(results, name)
    return files


def place_files(files: Sequence[HubFile], output: Path) -> None:
    """Make the folder: links to the files, or copies where the file system has no hard links.

    Files that are there and no longer belong are removed; so the same command goes on and repairs.

    Raises:
        PipelineError: The folder is the source itself, or holds something else.
    """
    wanted = {output / file.path for file in files}
    if any(file.source.resolve() == (output / file.path).resolve() for file in files):
        raise PipelineError(f"{output} is the dataset itself; choose another folder for --output")
    if output.exists() and any(output.iterdir()) and not (output / CARD).exists():
        raise PipelineError(
            f"{output} holds something else (no {CARD}); choose another folder for --output"
        )
    for file in files:
        _place(file.source, output / file.path)
    for leftover in sorted(output.rglob("*")):
        if leftover.is_file() and leftover not in wanted:
            leftover.unlink()


def _store_files(results: Path, name: str) -> list[HubFile]:
    store = results / f"{name}.zarr"
    if read_attributes(store) is None:
        raise PipelineError(
            f"there is no store {store}; {results} has {', '.join(_stores_in(results)) or 'none'}"
        )
    files = files_below(store, PurePosixPath(store.name))
    for suffix in ("index.parquet", "statistics.json", "tiles.csv"):
        beside = results / f"{name}.{suffix}"
        if beside.is_file():
            files.append(hub_file(beside, PurePosixPath(beside.name)))
    metadata = results / "metadata" / name
    if metadata.is_dir():
        files += files_below(metadata, PurePosixPath("metadata", name))
    return files


def _stores_in(results: Path) -> list[str]:
    return sorted(path.stem for path in results.glob("*.zarr") if read_attributes(path))


def _place(source: Path, target: Path) -> None:
    if target.exists():
        if target.samefile(source):
            return
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)
