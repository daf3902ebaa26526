"""What is in a store: ``python -m pipeline.inspect results/demo/nol.zarr``.

Prints what a person wants to know first and writes pictures of samples beside the store.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console
from rich.table import Table

from pipeline.errors import PipelineError, run_step
from pipeline.gallery import sample_gallery
from pipeline.legend import load_legend
from pipeline.store.reader import open_store

GALLERY_SAMPLES = 3


def summary_table(store: xr.Dataset, path: Path) -> Table:
    """The store's title, size, validity, splits and arrays as a table for the terminal."""
    table = Table(title=str(store.attrs.get("title", path.name)), title_justify="left")
    table.add_column("what")
    table.add_column("value")
    for what, value in _facts(store, path):
        table.add_row(what, value)
    return table


def class_shares(store: xr.Dataset, samples: Sequence[int]) -> list[tuple[str, float]]:
    """Name and share of each land-cover class over the labelled pixels of some samples."""
    counts = np.zeros(256, dtype=np.int64)
    for sample in samples:
        label = store["label"].isel(sample=sample).values
        ids = np.where(np.isfinite(label), label, 255).astype(np.uint8)
        counts += np.bincount(ids.ravel(), minlength=256)
    labelled = max(1, counts[:255].sum())
    return [
        (land_cover.name, counts[land_cover.id] / labelled)
        for land_cover in load_legend("dynamic_world")
    ]


def valid_samples(store: xr.Dataset) -> list[int]:
    """Indices of the samples that are complete, ascending."""
    return np.flatnonzero(store["valid"].values).tolist()


def find_sample(store: xr.Dataset, location_id: str) -> int:
    """The index of a complete sample by its location id.

    Raises:
        PipelineError: No such id, or its sample was rejected.
    """
    found = np.flatnonzero(store["id"].values == location_id)
    if found.size == 0:
        raise PipelineError(f"no location {location_id!r} in this store")
    index = int(found[0])
    if not bool(store["valid"].values[index]):
        raise PipelineError(f"location {location_id} was rejected; the ledger says why")
    return index


def _facts(store: xr.Dataset, path: Path) -> list[tuple[str, str]]:
    valid = store["valid"].values.astype(bool)
    splits = Counter(store["split"].values[valid].tolist())
    by_split = ", ".join(f"{name} {count}" for name, count in sorted(splits.items()))
    arrays = ", ".join(
        f"{name} {tuple(array.sizes.values())}"
        for name, array in store.data_vars.items()
        if array.ndim > 2
    )
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return [
        ("simulated", "YES, not for science" if store.attrs.get("simulated") else "no"),
        ("samples", f"{valid.sum():,} complete of {valid.size:,}"),
        ("splits", by_split or "none"),
        ("arrays", arrays),
        ("size on disk", f"{size / 1e6:,.1f} MB"),
        ("dataset hash", str(store.attrs.get("dataset_hash", ""))),
    ]


def _print_classes(console: Console, store: xr.Dataset, samples: Sequence[int]) -> None:
    table = Table(title=f"classes in {len(samples)} samples", title_justify="left")
    table.add_column("class")
    table.add_column("share", justify="right")
    for name, share in class_shares(store, samples):
        table.add_row(name, f"{100 * share:.1f} %")
    console.print(table)


def _write_galleries(store: xr.Dataset, samples: Sequence[int], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for sample in samples:
        one = store.isel(sample=sample)
        mark = "SIMULATED  " if store.attrs.get("simulated") else ""
        caption = f"{mark}{one['id'].item()}  {one['lon'].item():.4f} E {one['lat'].item():.4f} N"
        file = folder / f"sample_{sample:06d}.png"
        sample_gallery(one, caption).save(file)
        written.append(file)
    return written


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("store", type=Path, help="a nol.zarr")
    parser.add_argument("--sample", help="location id to draw; by default a few are")
    parser.add_argument(
        "--gallery", type=Path, help="folder for pictures; default beside the store"
    )
    arguments = parser.parse_args()
    store = open_store(arguments.store)
    console = Console()
    console.print(summary_table(store, arguments.store))
    valid = valid_samples(store)
    if not valid:
        raise PipelineError(f"{arguments.store} holds no complete sample yet")
    spread = np.linspace(0, len(valid) - 1, min(GALLERY_SAMPLES, len(valid))).astype(int)
    drawn = [valid[index] for index in spread]
    if arguments.sample:
        drawn = [find_sample(store, arguments.sample)]
    _print_classes(console, store, valid[:64])
    folder = arguments.gallery or arguments.store.parent / "gallery"
    for file in _write_galleries(store, drawn, folder):
        console.print(f"picture {file}")


if __name__ == "__main__":
    run_step(main)
