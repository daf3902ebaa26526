"""What an evaluation needs to know about its store: where it lies, its classes, which tiles."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError


def task_store(folder: Path, store: str) -> Path:
    """Folder of a task's store: a bare name lies beside nol.zarr, anything else is a path."""
    return Path(store) if "/" in store else folder / store


def class_names(store: Path, group: str, array: str, num_classes: int) -> tuple[str, ...]:
    """Names of the classes by id, from the CF attributes of the labels.

    Raises:
        PipelineError: There are no labels, or of another number of classes.
    """
    document = store / group / array / "zarr.json"
    if not document.is_file():
        raise PipelineError(f"{store} has no array {array} in its group {group!r}; build it first")
    attributes = json.loads(document.read_bytes()).get("attributes", {})
    names = tuple(str(attributes.get("flag_meanings", "")).split())
    if names and len(names) != num_classes:
        raise PipelineError(
            f"the labels of {store} have {len(names)} classes, the task says {num_classes}; "
            "correct num_classes of the task"
        )
    return names or tuple(f"class_{number}" for number in range(num_classes))


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
