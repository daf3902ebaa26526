"""Brings the expert tiles to this machine: ``python -m pipeline.dynamic_world.acquire``.

Folders are used where they are. Archives are unpacked beside the dataset, those of the web
downloaded, resumed where they broke off, and checked before. Simulated tiles are drawn. A small
record names the two folders.
"""

import argparse
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.atomic_file import write_atomically
from pipeline.download import download, file_checksum
from pipeline.errors import PipelineError, run_step
from pipeline.importers.archives import DamagedMember, Refusal, iterate_members
from pipeline.inputs import bring, in_object_storage
from pipeline.settings.dynamic_world import DynamicWorldSettings, is_url
from pipeline.settings.tree import Settings, load_settings

_WANTED = {".tif", ".tiff", ".csv"}

_log = logging.getLogger(__name__)


def acquire_tiles(settings: Settings, folder: Path) -> dict[str, Path]:
    """Make the tiles of both splits available.

    Args:
        settings: Say where they come from.
        folder: For what is downloaded, unpacked or drawn.

    Returns:
        The folder of each split.

    Raises:
        PipelineError: A download fails or is another file, an archive cannot be read, or simulated
            tiles are asked for beside the real archive.
    """
    section = settings.dynamic_world
    if section.tiles == "simulated":
        if not settings.simulated:
            raise PipelineError(
                "dynamic_world.tiles = simulated does not go with earthengine.service = google; "
                "set tiles: published and name the folders of the tiles"
            )
        return _draw(settings, folder)
    return {
        split: _local_folder(section, split, folder, settings.folder / "inputs")
        for split in ("train", "test")
    }


def unpack_tiles(archive: Path, folder: Path) -> list[Refusal]:
    """Unpack the rasters and tables of an archive, whole files or none; others are left out.

    Args:
        archive: Zip or tar.
        folder: Holds nothing else afterwards: an earlier archive's tiles would be listed, too.

    Returns:
        The members that were refused: damaged, or not safe to unpack.

    Raises:
        PipelineError: It is no archive, or holds no raster.
    """
    shutil.rmtree(folder, ignore_errors=True)
    refused: list[Refusal] = []
    rasters = 0
    for member in iterate_members(archive, refused.append):
        suffix = member.name.suffix.lower()
        if suffix not in _WANTED:
            continue
        try:
            content = member.read()
        except DamagedMember as damage:
            refused.append(Refusal(archive.name, str(member.name), str(damage)))
            continue
        write_atomically(folder / member.name, content)
        rasters += suffix != ".csv"
    if not rasters:
        raise PipelineError(f"{archive} holds no .tif file")
    return refused


def _local_folder(section: DynamicWorldSettings, split: str, folder: Path, inputs: Path) -> Path:
    source, checksum = getattr(section, split), getattr(section, f"{split}_checksum")
    if is_url(source):
        archive = folder / f"{split}-{_file_name(source)}"
        _log.info("fetching %s", source)
        download(source, archive, checksum)
    else:
        archive = bring(source, inputs) if in_object_storage(source) else Path(source)
        if not archive.is_file():
            return archive
        _require_checksum(archive, checksum)
    for refusal in unpack_tiles(archive, folder / split):
        _log.warning("%s", refusal)
    return folder / split


def _require_checksum(archive: Path, checksum: str | None) -> None:
    if checksum is None:
        return
    found = file_checksum(archive, checksum)
    if found != checksum.lower():
        raise PipelineError(
            f"{archive} has the checksum {found}, not {checksum}; delete it if the one at its URL "
            "is right"
        )


def _file_name(url: str) -> str:
    """The last part of a URL's path, as a name that is safe in a folder of ours."""
    name = urlsplit(url).path.rpartition("/")[2]
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)


def _draw(settings: Settings, folder: Path) -> dict[str, Path]:
    section = settings.dynamic_world
    drawn_to = {split: folder / split for split in ("train", "test")}
    for earlier in drawn_to.values():
        shutil.rmtree(earlier, ignore_errors=True)
    command = [sys.executable, "-m", "pipeline.simulator.expert_tiles", "--output", str(folder)]
    command += ["--train", str(section.simulated_train), "--test", str(section.simulated_test)]
    command += ["--train-pixels", str(section.train_pixels)]
    command += ["--test-pixels", str(section.test_pixels)]
    command += ["--seed", str(settings.seed), "--world-seed", str(settings.simulator.seed)]
    command += ["--area", *map(str, section.simulated_area)]
    drawn = subprocess.run(command, check=False)  # noqa: S603 - our own module, no shell
    if drawn.returncode:
        raise PipelineError("the simulated expert tiles were not drawn; the reason stands above")
    return drawn_to


def main(arguments: Sequence[str] | None = None) -> None:
    """Bring the tiles from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dynamic_world.acquire")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--folder", type=Path, required=True, help="for what is downloaded")
    parser.add_argument("--record", type=Path, required=True, help="where to note the folders")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folders = acquire_tiles(load_settings(options.settings), options.folder)
    text = json.dumps({split: path.as_posix() for split, path in folders.items()}, indent=1) + "\n"
    write_atomically(options.record, text.encode())


if __name__ == "__main__":
    run_step(main)
