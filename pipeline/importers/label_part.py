"""Adds labels to an imported store of SSL4EO-S12, whoever they come from."""

from collections.abc import Callable, Iterable, Sequence
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


def scenes_of(store: Path) -> dict[str, dict[str, Any]]:
    """What is known of the Sentinel-2 part of every location that has one, by its id."""
    _, ids, _ = read_plan(store)
    known = read_facts(work_folder(store), "", "s2")
    return {ids[sample]: facts for sample, facts in known.items() if REFUSED not in facts}
