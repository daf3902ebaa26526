"""From files to units of import: all that a source has of one sample for one part of a store."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pipeline.importers.members import DamagedMember, Member


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
"""The key of a file, from its name alone, or a word for why it is left aside."""

Files = dict[PurePosixPath, bytes]
Decode = Callable[[Key, Files], Decoded]


def units_of(
    members: Iterable[Member], locate: Locate, decode: Decode, wanted: Callable[[Key], bool]
) -> Iterator[Unit]:
    """Put files that follow each other and belong together into units.

    Args:
        members: Files, in the order of the source.
        locate: Says what a file is of.
        decode: Turns the files of a unit into arrays.
        wanted: Whether a unit is still needed; the files of others are not read.
    """
    current: Key | None = None
    files: Files = {}
    damage: list[str] = []
    for member in members:
        key = locate(member.name)
        if isinstance(key, str):
            continue
        if key != current:
            if current is not None:
                yield _unit(current, files, damage, decode)
            current, files, damage = key, {}, []
            reading = wanted(key)
        if reading:
            if member.name in files:
                damage.append(f"{member.name.name}: the same name twice")
            try:
                files[member.name] = member.read()
            except DamagedMember as error:
                damage.append(f"{member.name.name}: {error}")
    if current is not None:
        yield _unit(current, files, damage, decode)


def _unit(key: Key, files: Files, damage: list[str], decode: Decode) -> Unit:
    def run() -> Decoded:
        if damage:
            raise DamagedMember("; ".join(damage))
        return decode(key, files)

    return Unit(key, run)
