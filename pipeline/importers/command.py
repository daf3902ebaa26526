"""What the command lines of the importers have in common."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.importers.tar_members import parts_of


def import_parser(name: str, description: str | None, shard_size: int) -> argparse.ArgumentParser:
    """A parser of ``python -m pipeline.importers.<name>``.

    Args:
        name: Of the module.
        description: Its docstring.
        shard_size: Default number of samples in a shard.
    """
    parser = argparse.ArgumentParser(
        f"python -m pipeline.importers.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--source", type=Path, nargs="*", default=[], help="folders, archives")
    parser.add_argument("--store", type=Path, required=True, help="Zarr store to make")
    parser.add_argument(
        "--s2-values",
        choices=["harmonised", "published"],
        default="harmonised",
        help="harmonised (default): the +1000 of later baselines is removed where it is found",
    )
    parser.add_argument("--shard-size", type=int, default=shard_size, help="samples in a shard")
    parser.add_argument("--workers", type=int, default=1, help="processes that write shards")
    parser.add_argument("--summary", type=Path, help="file for the summary, beside the screen")
    return parser


def checked_sources(sources: Sequence[Path], store: Path) -> list[Path]:
    """The sources, each once: an archive in parts counts once, however many parts were named.

    Raises:
        PipelineError: No source was given, one does not exist, or the store lies in one.
    """
    if not sources:
        raise PipelineError(
            "no source is given; set the section `importers` of the settings, or --source"
        )
    for source in sources:
        if not source.exists():
            raise PipelineError(f"{source} does not exist; give a folder or archive")
        if store.resolve().is_relative_to(source.resolve()):
            raise PipelineError(f"{store} lies in its own source {source}; choose another place")
    firsts = (source if source.is_dir() else parts_of(source)[0] for source in sources)
    return list(dict.fromkeys(firsts))


def require_positive(shard_size: int, workers: int) -> None:
    """Make sure that a shard holds anything, and that somebody writes it.

    Raises:
        PipelineError: It does not, or nobody does.
    """
    for option, value in (("--shard-size", shard_size), ("--workers", workers)):
        if value < 1:
            raise PipelineError(f"{option} {value}: give 1 or more")


def show_summary(text: str, path: Path | None) -> None:
    """Print a summary, and keep it if asked to."""
    print(text, end="")
    if path is not None:
        write_atomically(path, text.encode())
