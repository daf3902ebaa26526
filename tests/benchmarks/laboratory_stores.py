"""The laboratory's store with better labels than it has: what could be gained at most."""

import shutil
from pathlib import Path

import numpy as np
import zarr

from pipeline.legend import UNLABELLED


def write_variants(folder: Path) -> None:
    """Write the variants of ``nol.zarr`` beside it; those that exist stay.

    true_labels.zarr: every label is true, where there was one. only_right.zarr: wrong labels are
    removed, which is what the weights of a perfect selection would do.
    """
    noisy = zarr.open_array(folder / "nol.zarr" / "label", mode="r")[:]
    true = zarr.open_array(folder / "truth.zarr" / "label", mode="r")[:]
    variants = {
        "true_labels": np.where(noisy == UNLABELLED, noisy, true),
        "only_right": np.where(noisy == true, noisy, UNLABELLED),
    }
    for name, labels in variants.items():
        path = folder / f"{name}.zarr"
        if path.exists():
            continue
        unfinished = folder / f".{name}.partial"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(folder / "nol.zarr", unfinished)
        zarr.open_array(unfinished / "label", mode="r+")[:] = labels.astype(np.uint8)
        unfinished.rename(path)
