"""From files to units of import: all that a source has of one sample for one part of a store."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pipeline.importers.archives import iterate_members, reported_before
from pipeline.importers.members import MEBIBYTE, DamagedMember, Member, Refusal

_LARGEST_UNIT_BYTES = 256 * MEBIBYTE
"""Files of one unit that are in memory together; a location of SSL4EO-S12 has 8 MB."""


class Key(NamedTuple):
    """What a unit is of.

    Attributes:
        group: Of the store; empty where the store is one group.
        sample_id: The source's own name of the sample.
        part: Which arrays: ``s2``, ``s1``, ``label`` ...
    """

    group: str
    sample_id: str
    part: str


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a unit turned out to hold.

    Attributes:
        arrays: By name in the store, of one sample.
        facts: What else is known, as plain JSON values; ``notes`` is a list of texts to report.
    """

    arrays: Mapping[str, NDArray[Any]]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """One unit; ``decode`` gives its content and raises `DamagedMember`."""

    key: Key
    decode: Callable[[], Decoded]


Locate = Callable[[PurePosixPath], "Key | str"]
"""The key of a file, or a word for why it is left aside; from its path alone, which begins with the
name of the folder or archive that was given as a source."""

Files = dict[PurePosixPath, bytes]
Decode = Callable[[Key, Files], Decoded]
Wanted = Callable[[Key], bool]


def located_files(
    sources: Sequence[Path], locate: Locate, refuse: Callable[[Refusal], None]
) -> Iterator["Key | str"]:
    """What every file of some sources is of, in their order."""
    for source in sources:
        for member in iterate_members(source, refuse):
            yield locate(source.name / member.name)


def units_in(
    sources: Sequence[Path], locate: Locate, decode: Decode, wanted: Wanted
) -> Iterator["Unit"]:
    """The units of some sources; see `units_of`."""
    for source in sources:
        members = iterate_members(source, reported_before)
        yield from units_of(members, partial(_located_below, source.name, locate), decode, wanted)


def _located_below(source: str, locate: Locate, name: PurePosixPath) -> "Key | str":
    return locate(source / name)


def units_of(
    members: Iterable[Member], locate: Locate, decode: Decode, wanted: Wanted
) -> Iterator[Unit]:
    """Put files that follow each other and belong together into units.

    Args:
        members: Files, in the order of the source.
        locate: Says what a file is of.
        decode: Turns the files of a unit into arrays.
        wanted: Whether a unit is still needed; the files of others are not read.
    """
    current: _Gathered | None = None
    for member in members:
        key = locate(member.name)
        if isinstance(key, str):
            continue
        if current is None or key != current.key:
            if current is not None:
                yield current.unit(decode)
            current = _Gathered(key, wanted(key))
        current.add(member)
    if current is not None:
        yield current.unit(decode)


class _Gathered:
    """The files of a unit so far."""

    def __init__(self, key: Key, wanted: bool) -> None:
        self.key = key
        self._wanted = wanted
        self._files: Files = {}
        self._bytes = 0
        self._damage: dict[str, None] = {}

    def add(self, member: Member) -> None:
        """Read a file, if the unit is wanted and not too large."""
        if not self._wanted:
            return
        if member.name in self._files:
            self._damage[f"{member.name.name}: the same name twice"] = None
        self._bytes += member.size
        if self._bytes > _LARGEST_UNIT_BYTES:
            self._files.clear()
            self._damage[f"more than {_LARGEST_UNIT_BYTES} bytes in all its files"] = None
            return
        try:
            self._files[member.name] = member.read()
        except DamagedMember as error:
            self._damage[f"{member.name.name}: {error}"] = None

    def unit(self, decode: Decode) -> Unit:
        """All of it."""

        def run() -> Decoded:
            if self._damage:
                raise DamagedMember("; ".join(self._damage))
            return decode(self.key, self._files)

        return Unit(self.key, run)
