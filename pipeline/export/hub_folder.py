"""Stores as a folder for a dataset repository: ``python -m pipeline.export hub_folder``.

Files of the stores are linked, not copied, so the folder needs no room of its own.
"""

import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import track

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.export.hub_limits import HubFile, files_below, hub_file
from pipeline.export.output_folder import sole_writer
from pipeline.importers.members import unsafe_name

CARD = "README.md"

_INDEX = "index.parquet"
_BESIDE = (_INDEX, "statistics.json", "tiles.csv")
"""Ends of the names of what lies beside a store and goes with it; its index is written last."""

_METADATA = "metadata"

_RECORD = PurePosixPath(".cache", "huggingface", "noldo.json")
"""Which files were placed; in the one folder that uploads to the Hub leave out."""


def dataset_files(results: Path, stores: Sequence[str]) -> list[HubFile]:
    """What a dataset repository consists of: card, stores, their indices and metadata.

    Args:
        results: Folder of a dataset, such as ``results/demo``.
        stores: Names such as "nol"; none means all that are finished.

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

    Files that an earlier call placed and that no longer belong are removed; so the same command
    goes on and repairs. Whatever else lies in the folder stays, such as the files of git.

    Raises:
        PipelineError: The folder is the source itself, or holds something else.
    """
    if any(file.source.resolve() == (output / file.path).resolve() for file in files):
        raise PipelineError(f"{output} is the dataset itself; choose another folder for --output")
    _refuse_other_content(output)
    wanted = {file.path.as_posix() for file in files}
    with sole_writer(output):
        earlier = _placed_before(output)
        _write_record(output, earlier | wanted)
        for file in track(files, "linking files", console=Console(stderr=True)):
            _place(file.source, output / file.path)
        for leftover in sorted(earlier - wanted):
            _remove(output, PurePosixPath(leftover))
        _write_record(output, wanted)


def _placed_before(output: Path) -> set[str]:
    try:
        names = list(json.loads((output / _RECORD).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return set()
    return {name for name in names if isinstance(name, str) and not unsafe_name(name)}


def _write_record(output: Path, names: set[str]) -> None:
    write_atomically(output / _RECORD, json.dumps(sorted(names), indent=0).encode() + b"\n")


def _refuse_other_content(output: Path) -> None:
    """Whatever no call of ours can have placed belongs to somebody else."""
    for entry in sorted(output.iterdir()) if output.is_dir() else []:
        ours = entry.name in (CARD, _METADATA) or entry.suffix == ".zarr"
        if not (ours or entry.name.startswith(".") or entry.name.endswith(_BESIDE)):
            raise PipelineError(
                f"{output} holds something else ({entry.name}); choose another folder for --output"
            )


def undelivered(results: Path, stores: Sequence[str]) -> list[str]:
    """The stores that the card describes and a choice leaves out; none where all are taken."""
    return [name for name in _stores_in(results) if stores and name not in stores]


def _store_files(results: Path, name: str) -> list[HubFile]:
    finished = _stores_in(results)
    if name not in finished:
        raise PipelineError(
            f"there is no finished store {name}.zarr with its {name}.{_INDEX} in {results}, which "
            f"has {', '.join(finished) or 'none'}; run `snakemake describe` first"
        )
    store = results / f"{name}.zarr"
    files = files_below(store, PurePosixPath(store.name))
    for suffix in _BESIDE:
        beside = results / f"{name}.{suffix}"
        if beside.is_file():
            files.append(hub_file(beside, PurePosixPath(beside.name)))
    metadata = results / _METADATA / name
    if metadata.is_dir():
        files += files_below(metadata, PurePosixPath(_METADATA, name))
    return files


def _stores_in(results: Path) -> list[str]:
    stems = sorted(path.stem for path in results.glob("*.zarr"))
    return [stem for stem in stems if (results / f"{stem}.{_INDEX}").is_file()]


def _remove(output: Path, name: PurePosixPath) -> None:
    """Remove a file, and the folders that are empty without it."""
    (output / name).unlink(missing_ok=True)
    for folder in name.parents[:-1]:
        if not (output / folder).is_dir() or any((output / folder).iterdir()):
            return
        (output / folder).rmdir()


def _place(source: Path, target: Path) -> None:
    if target.exists():
        if target.samefile(source) or _is_copy(source, target):
            return
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


def _is_copy(source: Path, target: Path) -> bool:
    """Whether it is a whole copy: only at its end does one get the time of its source."""
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)
