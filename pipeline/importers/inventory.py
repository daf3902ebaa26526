"""What a source holds, from the names of its files: the samples, and which parts each has.

It fixes the place of every sample in the store before any pixel is read, so that shards can be
written in any order and a run that was cut short goes on in the same places.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.importers.members import Refusal
from pipeline.importers.tar_members import parts_of
from pipeline.importers.units import Key, Locate, located_files
from pipeline.progress import told


@dataclass
class Inventory:
    """The content of a source, by names.

    Attributes:
        parts: Group to part to sample ids, in the order in which they were met.
        refusals: Members that are never read.
        ignored: Files left aside, counted by reason.
    """

    parts: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def samples(self, group: str, leading: str) -> list[str]:
        """Ids of a group in the order of the store.

        That is the order in which the source brings the leading part, so that few samples wait
        for others; those without it come after, as they were met.
        """
        parts = self.parts[group]
        ordered = [parts.get(leading, []), *(ids for name, ids in parts.items() if name != leading)]
        return list(dict.fromkeys(sample for ids in ordered for sample in ids))

    def add(self, keys: Iterable[Key | str]) -> None:
        """Count what the files are of.

        Files of a unit follow each other; a unit that is met again later is refused there.
        """
        seen: set[Key] = set()
        last: Key | None = None
        for key in keys:
            if isinstance(key, str):
                self.ignored[key] += 1
                continue
            if key != last and key in seen:
                name = f"{key.sample_id} ({key.part})"
                self.refusals.append(Refusal(key.group, name, "met again; the first counts"))
            elif key not in seen:
                seen.add(key)
                parts = self.parts.setdefault(key.group, {})
                parts.setdefault(key.part, []).append(key.sample_id)
            last = key


def take_stock(sources: Sequence[Path], locate: Locate) -> Inventory:
    """Go through sources by the names of their files."""
    inventory = Inventory()
    keys = located_files(sources, locate, inventory.refusals.append)
    inventory.add(told(keys, "taking stock of files"))
    return inventory


def fingerprint(paths: Iterable[Path]) -> str:
    """A hash that changes when a file of the source is added, removed or replaced.

    Names, sizes and times of change count, not contents: reading those would take as long as the
    import itself.
    """
    digest = hashlib.sha256()
    for path in paths:
        files = _files_below(path) if path.is_dir() else parts_of(path)
        for file in told(files, f"looking at the files of {path.name}"):
            status = file.lstat()
            name = file.relative_to(path.parent).as_posix()
            digest.update(json.dumps([name, status.st_size, status.st_mtime_ns]).encode())
    return digest.hexdigest()[:16]


def _files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder in a fixed order, one folder at a time in memory."""
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def load_inventory(path: Path, mark: str, take_stock: Callable[[], Inventory]) -> Inventory:
    """Read the inventory of an earlier run, or take it now and keep it.

    Args:
        path: JSON file.
        mark: `fingerprint` of the source.
        take_stock: Goes through the source.

    Raises:
        PipelineError: The file was made from another source.
    """
    try:
        inventory = read_inventory(path, mark)
    except FileNotFoundError:
        inventory = take_stock()
        write_atomically(path, json.dumps(_document(inventory, mark), indent=1).encode())
    return inventory


def read_inventory(path: Path, mark: str | None = None) -> Inventory:
    """Read the inventory of an earlier run.

    Args:
        path: JSON file.
        mark: If given, `fingerprint` of the source that it must be of.

    Raises:
        FileNotFoundError: There is none.
        PipelineError: It was made from another source.
    """
    document = json.loads(path.read_bytes())
    if mark is not None and document["source"] != mark:
        raise PipelineError(
            f"the source has changed since this import began ({path}); "
            "remove that folder and the store to import anew"
        )
    return Inventory(
        document["parts"],
        [Refusal(**refusal) for refusal in document["refusals"]],
        Counter(document["ignored"]),
    )


def _document(inventory: Inventory, mark: str) -> dict[str, Any]:
    return {
        "source": mark,
        "parts": inventory.parts,
        "refusals": [vars(refusal) for refusal in inventory.refusals],
        "ignored": inventory.ignored,
    }
