"""Adds labels to an imported store of SSL4EO-S12, whoever they come from."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pipeline.importers.shard_board import REFUSED, PartPlan, ShardBoard, read_facts
from pipeline.importers.ssl4eo import read_plan, work_folder
from pipeline.importers.units import Key, Unit


def add_labels(
    store: Path,
    wanted_ids: Sequence[str],
    units: Callable[[Callable[[Key], bool]], Iterable[Unit]],
) -> None:
    """Write the part ``label`` of a store; resumable by shard, like any other part.

    Args:
        store: Made by `import_ssl4eo`.
        wanted_ids: Locations that will get labels; others in the store will have none.
        units: Gives what is still wanted.
    """
    target, ids, _ = read_plan(store)
    index = {sample: number for number, sample in enumerate(ids)}
    samples = {sample: index[sample] for sample in wanted_ids if sample in index}
    arrays = target.part_arrays("label")
    plan = PartPlan("", "label", store, samples, arrays, target.shard_size)
    board = ShardBoard(work_folder(store), [plan])
    if not board.complete:
        for unit in units(board.wants):
            board.take(unit)
    board.close()


class StoredScenes:
    """What a store knows of the Sentinel-2 images of its locations; one shard in memory."""

    def __init__(self, store: Path) -> None:
        """Look into the state of an import."""
        self._target, ids, _ = read_plan(store)
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
