"""What an evaluation needs to know about its store: where it lies, its classes, which tiles."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.store.create import read_attributes
from pipeline.store.object_path import StorePath, store_path
from pipeline.store.reader import open_store
from training.cromss.fusion import Modality
from training.loading.inputs import band_names


def task_store(folder: Path, store: str) -> StorePath:
    """Where a task's store lies: a bare name beside nol.zarr, all else is a path or a URL."""
    return store_path(store) if "/" in store else folder / store


def class_names(store: StorePath, group: str, array: str, num_classes: int) -> tuple[str, ...]:
    """Names of the classes by id, from the CF attributes of the labels.

    Raises:
        PipelineError: There are no labels, or of another number of classes.
    """
    names = tuple(str(_attributes(store, group, array).get("flag_meanings", "")).split())
    if names and len(names) != num_classes:
        raise PipelineError(
            f"the labels of {store} have {len(names)} classes, the task says {num_classes}; "
            "correct num_classes of the task"
        )
    return names or tuple(f"class_{number}" for number in range(num_classes))


def class_colors(store: StorePath, group: str, array: str, num_classes: int) -> tuple[str, ...]:
    """Colours ``#RRGGBB`` of the classes by id, from the labels or, where they have none, grey."""
    colors = tuple(str(_attributes(store, group, array).get("flag_colors", "")).split())
    if len(colors) == num_classes:
        return colors
    greys = np.linspace(40, 230, num_classes).astype(int)
    return tuple(f"#{grey:02x}{grey:02x}{grey:02x}" for grey in greys)


def drawn_tiles(samples: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """A share of the tiles, ascending; a smaller share of the same seed is part of a larger one.

    Args:
        samples: To draw from.
        fraction: Share to keep; at least one tile is.
        seed: Of the draw.
    """
    order = np.random.default_rng([seed]).permutation(len(samples))
    kept = max(1, round(fraction * len(samples)))
    return np.sort(samples[order[:kept]])


def is_simulated(store: StorePath) -> bool:
    """Whether the pixels of a store come from the simulated Earth."""
    return bool((read_attributes(store) or {}).get("simulated", False))


def valid_tiles(store: StorePath, group: str) -> NDArray[np.int64]:
    """Index of every complete tile of a group, ascending.

    Raises:
        PipelineError: There is no store, no such group, or no complete tile in it.
    """
    dataset = open_store(store, group=group)
    count = dataset.sizes["sample"]
    valid = dataset["valid"].to_numpy() if "valid" in dataset else np.ones(count, bool)
    tiles: NDArray[np.int64] = np.flatnonzero(valid)
    if len(tiles) == 0:
        raise PipelineError(f"the group {group!r} of {store} has no valid tile; build it again")
    return tiles


def require_band_order(store: StorePath, group: str, modality: Modality) -> None:
    """Refuse imagery whose bands are not the sensor's, all of them in their order.

    Bands are taken by their position, so that another order would feed one band for another.

    Raises:
        PipelineError: It has others.
    """
    dataset = open_store(store, group=group)
    axis = f"band_{modality}"
    expected = list(band_names(modality))
    if axis not in dataset.sizes:
        return  # whoever reads it says that there is none
    found = dataset[axis].to_numpy().tolist() if axis in dataset.coords else None
    if dataset.sizes[axis] != len(expected) or found not in (None, expected):
        there = ", ".join(map(str, found)) if found else f"{dataset.sizes[axis]} without names"
        raise PipelineError(
            f"the group {group!r} of {store} has the bands {there}; "
            f"write all of {', '.join(expected)}, in this order"
        )


def _attributes(store: StorePath, group: str, array: str) -> dict[str, Any]:
    attributes = read_attributes(store / group / array)
    if attributes is None:
        raise PipelineError(f"{store} has no array {array} in its group {group!r}; build it first")
    return attributes
