"""Members of folders, tar(.gz) and zip archives, one after another and none of them trusted.

The door through which every import comes. Nothing is unpacked on disk and one member at a time is
in memory, so the size of an archive does not matter. What must not be read (paths that lead out of
the archive, links, devices, bombs, damaged members) is refused by name, and the rest goes on.
"""

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.errors import PipelineError
from pipeline.importers.members import (
    DamagedMember,
    Limits,
    Member,
    Refusal,
    mode_reason,
    printable,
    reading,
    size_reason,
    unsafe_name,
)
from pipeline.importers.tar_members import is_tar, parts_of, tar_members

_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def iterate_members(
    path: Path, refuse: Callable[[Refusal], None], limits: Limits | None = None
) -> Iterator[Member]:
    """Go through the files of a folder or archive in a fixed order.

    Folders and zip archives are walked in the order of their names, tar archives in that of their
    bytes. ``x.tar.gz.partaa`` stands for all its parts. An archive that lies in a folder is gone
    through in its place.

    Args:
        path: A folder, ``.tar``, ``.tar.gz``, ``.tgz`` or ``.zip`` file.
        refuse: Told of every member that is left out.
        limits: Of one member.

    Raises:
        PipelineError: There is nothing at the path, no archive of a known kind, or it cannot be
            read for another reason than its own bytes.
    """
    limits = limits or Limits()
    if path.is_dir():
        return _folder_members(path, refuse, limits)
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; give a folder or an archive")
    if is_zip(path):
        return _zip_members(path, refuse, limits)
    if is_tar(path):
        return tar_members(path, refuse, limits)
    raise PipelineError(f"{path} is neither a folder nor a .tar, .tar.gz or .zip archive")


def reported_before(refusal: Refusal) -> None:
    """For a second pass over a source whose refusals are known from the first."""


def is_zip(path: Path) -> bool:
    """Whether a file is named as a zip archive."""
    return path.name.lower().endswith(".zip")


def _folder_members(
    root: Path, refuse: Callable[[Refusal], None], limits: Limits
) -> Iterator[Member]:
    for folder, subfolders, names in os.walk(root, onerror=_refuse_to_go_on):
        subfolders.sort()
        here = Path(folder)
        for name in [name for name in subfolders if (here / name).is_symlink()]:
            relative = (here / name).relative_to(root).as_posix()
            refuse(Refusal(root.name, printable(relative), "link"))
        for name in sorted(names):
            path = here / name
            relative = path.relative_to(root).as_posix()
            with reading(path):
                status = path.lstat()
            if stat.S_ISREG(status.st_mode) and (is_zip(path) or is_tar(path)):
                yield from _nested_members(path, relative, refuse, limits)
                continue
            reason = mode_reason(status.st_mode) or size_reason(status.st_size, None, limits)
            if reason := unsafe_name(relative) or reason:
                refuse(Refusal(root.name, printable(relative), reason))
                continue
            yield Member(root.name, PurePosixPath(relative), status.st_size, _file_reader(path))


def _refuse_to_go_on(error: OSError) -> None:
    """A folder that cannot be listed would look like an empty one."""
    with reading(Path(error.filename)):
        raise error


def _file_reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        with reading(path):
            return path.read_bytes()

    return read


def _nested_members(
    path: Path, relative: str, refuse: Callable[[Refusal], None], limits: Limits
) -> Iterator[Member]:
    """The members of an archive in a folder, named as if it were a folder itself."""
    if parts_of(path)[0] != path:
        return
    for member in iterate_members(path, refuse, limits):
        yield replace(member, name=PurePosixPath(relative) / member.name)


def _zip_members(path: Path, refuse: Callable[[Refusal], None], limits: Limits) -> Iterator[Member]:
    try:
        with reading(path):
            archive = zipfile.ZipFile(path)
    except DamagedMember as error:
        refuse(Refusal(path.name, path.name, str(error)))
        return
    with archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        names = Counter(entry.filename for entry in entries)
        for entry in entries:
            if entry.is_dir():
                continue
            twice = "the same name twice" if names[entry.filename] > 1 else ""
            if reason := zip_entry_reason(entry, limits) or twice:
                refuse(Refusal(path.name, printable(entry.filename), reason))
                continue
            name = PurePosixPath(entry.filename)
            yield Member(path.name, name, entry.file_size, _zip_reader(path, archive, entry))


def zip_entry_reason(entry: zipfile.ZipInfo, limits: Limits) -> str:
    """Why an entry of a zip archive must not be read; empty if it may."""
    if reason := unsafe_name(entry.orig_filename):
        return reason
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) and (reason := mode_reason(mode)):
        return reason
    if entry.flag_bits & 1:
        return "encrypted"
    if entry.compress_type not in _ZIP_METHODS:
        return f"packed by method {entry.compress_type}"
    return size_reason(entry.file_size, entry.compress_size, limits)


def _zip_reader(
    path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo
) -> Callable[[], bytes]:
    def read() -> bytes:
        with reading(path), archive.open(entry) as file:
            content = file.read(entry.file_size + 1)
        if len(content) != entry.file_size:
            raise DamagedMember(f"{len(content)} bytes instead of {entry.file_size}")
        return content

    return read
