"""The truth behind the noisy labels: ``python -m pipeline.simulator.truth_store``.

Only a made-up planet has it. The store it writes holds one array, ``label``, of the same shape and
chunks as that of ``nol.zarr``, so that whatever reads one reads the other.
"""

import argparse
import datetime as dt
import shutil
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from pipeline.atomic_file import atomic_file
from pipeline.errors import PipelineError, run_step
from pipeline.legend import UNLABELLED
from pipeline.settings.dataset import SEASONS
from pipeline.simulator.world import truth
from pipeline.store.layout import PIXEL_ARRAYS
from pipeline.store.reader import open_store, sample_grid
from pipeline.store.shard_file import ShardFile

(_LABEL,) = (array for array in PIXEL_ARRAYS if array.name == "label")


def write_truth(noisy_path: Path, path: Path) -> float:
    """Write the true labels of every complete sample of a simulated store.

    Args:
        noisy_path: A ``nol.zarr`` made from the simulated Earth.
        path: The store to write; replaced whole if it exists.

    Returns:
        Share of the labelled pixels whose noisy label is true.

    Raises:
        PipelineError: The store was not made from the simulated Earth alone.
    """
    noisy = open_store(noisy_path)
    seed = _seed_of_world(noisy, noisy_path)
    unfinished = path.with_name(f".{path.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    _create(unfinished, noisy)
    right = labelled = 0
    for shard, first in enumerate(range(0, noisy.sizes["sample"], _shard_size(noisy))):
        samples = slice(first, first + _shard_size(noisy))
        true = _true_labels(noisy, samples, seed)
        _write_shard(unfinished / _LABEL.shard_key(shard), _shard_size(noisy), true)
        given = noisy["label"].isel(sample=samples).values
        right += int(((given == true) & (given != UNLABELLED)).sum())
        labelled += int((given != UNLABELLED).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not in the v3 specification yet; readers fall back
        zarr.consolidate_metadata(unfinished)
    shutil.rmtree(path, ignore_errors=True)
    unfinished.rename(path)
    return right / max(1, labelled)


def _seed_of_world(noisy: xr.Dataset, path: Path) -> int:
    source = noisy.attrs.get("settings", {}).get("source")
    world = source.get("simulated") if isinstance(source, dict) else None
    if not world:
        raise PipelineError(f"{path} holds real scenes: nobody knows the truth behind their labels")
    if world.get("scenes"):
        raise PipelineError(f"{path} was built with mounted scenes, whose truth is not known")
    return int(world["seed"])


def _create(path: Path, noisy: xr.Dataset) -> None:
    group = zarr.create_group(
        path,
        zarr_format=3,
        attributes={
            "layout": "noldo-truth-1",
            "title": "SIMULATED true land cover behind the noisy labels",
            "simulated": True,
            "dataset_hash": noisy.attrs["dataset_hash"],
        },
    )
    shape = noisy["label"].shape
    group.create_array(
        _LABEL.name,
        shape=shape,
        chunks=(1, *shape[1:]),
        shards=(_shard_size(noisy), *shape[1:]),
        dtype=_LABEL.dtype,
        fill_value=_LABEL.nodata,
        filters=None,
        compressors=_LABEL.codecs,
        dimension_names=_LABEL.dimensions,
        attributes=_LABEL.attributes | {"long_name": "true land-cover class of the day"},
    )


def _write_shard(path: Path, size: int, labels: NDArray[np.uint8]) -> None:
    """One file, also where no sample is complete: readers take a missing one for lost."""
    with atomic_file(path) as file:
        writer = ShardFile(file, (size,), _LABEL.codecs)
        for row, seasons in enumerate(labels):
            writer.append((row,), seasons, _LABEL.nodata)
        writer.finish()


def _shard_size(noisy: xr.Dataset) -> int:
    return int(noisy.attrs["settings"]["store"]["shard_size"])


def _true_labels(noisy: xr.Dataset, samples: slice, seed: int) -> NDArray[np.uint8]:
    """Labels (sample, time, y, x) of some samples, in order; 255 where a sample is not complete."""
    valid = noisy["valid"].values
    labels = np.full(noisy["label"][samples].shape, UNLABELLED, dtype=np.uint8)
    for row, sample in enumerate(range(len(valid))[samples]):
        if valid[sample]:
            labels[row] = _true_seasons(noisy, sample, seed)
    return labels


def _true_seasons(noisy: xr.Dataset, sample: int, seed: int) -> NDArray[np.uint8]:
    grid = sample_grid(noisy, sample)
    times = noisy["s2_time"].isel(sample=sample).values.astype("datetime64[D]")
    days: list[dt.date] = [times[season].item() for season in range(SEASONS)]
    return np.stack([truth(grid, day, seed) for day in days])


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--store", type=Path, required=True, help="a simulated nol.zarr")
    parser.add_argument("--output", type=Path, required=True, help="the store of the truth")
    arguments = parser.parse_args()
    accuracy = write_truth(arguments.store, arguments.output)
    print(f"{arguments.output}: {100 * accuracy:.1f} % of the noisy labels are true")


if __name__ == "__main__":
    run_step(main)
