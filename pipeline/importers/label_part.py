"""Adds labels to an imported store of SSL4EO-S12, whoever they come from."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.importers.shard_board import ShardBoard
from pipeline.importers.shard_part import REFUSED, PartPlan, read_facts
from pipeline.importers.ssl4eo import read_plan, work_folder
from pipeline.importers.units import Unit, Wanted
from pipeline.store.create import read_attributes, replace_attributes

_ORIGIN = "label_source"
"""Attribute of the store that says whose labels it has."""


def add_labels(
    store: Path,
    origin: str,
    wanted_ids: Sequence[str],
    units: Callable[[Wanted], Iterable[Unit]],
) -> None:
    """Write the part ``label`` of a store; resumable by shard, like any other part.

    Args:
        store: Made by `import_ssl4eo`.
        origin: Whose labels they are; two kinds never mix.
        wanted_ids: Locations that will get labels; others in the store will have none.
        units: Gives what is still wanted.

    Raises:
        PipelineError: The store has labels of another origin.
    """
    _claim(store, origin)
    target, ids = read_plan(store)
    index = {sample: number for number, sample in enumerate(ids)}
    samples = {sample: index[sample] for sample in wanted_ids if sample in index}
    arrays = target.part_arrays("label")
    plan = PartPlan("", "label", store, samples, arrays, target.count, target.shard_size)
    ShardBoard(work_folder(store), [plan]).fill(units)


def _claim(store: Path, origin: str) -> None:
    existing = (read_attributes(store) or {}).get(_ORIGIN, origin)
    if existing != origin:
        raise PipelineError(
            f"{store} has labels of {existing} already, not of {origin}; undo the change of "
            f"importers.ssl4eo_labels, or remove the store and {work_folder(store)} to begin anew"
        )
    replace_attributes(store, {_ORIGIN: origin})


class StoredScenes:
    """What a store knows of the Sentinel-2 images of its locations; one shard in memory."""

    def __init__(self, store: Path) -> None:
        """Look into the state of an import."""
        self._target, ids = read_plan(store)
        self._ids = ids
        self._index = {sample: number for number, sample in enumerate(ids)}
        self._facts = lru_cache(maxsize=2)(partial(read_facts, work_folder(store), "", "s2"))

    def of(self, sample_id: str) -> dict[str, Any] | None:
        """Facts of a location: ``scenes``, ``epsg``, ``left`` ...; None without images."""
        index = self._index[sample_id]
        facts = self._facts(index // self._target.shard_size).get(index, {REFUSED: "missing"})
        return None if REFUSED in facts else facts

    def locations(self) -> list[str]:
        """Ids of the locations that have images, in the order of the store."""
        return [sample for sample in self._ids if self.of(sample) is not None]
