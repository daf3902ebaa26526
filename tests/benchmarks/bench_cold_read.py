"""Bytes that come from the disk for one sample, against the size of its compressed chunks.

    python -m tests.benchmarks.bench_cold_read [--samples 128] [--folder FOLDER]

The files leave the page cache first; then a process of its own reads every sample once, in random
order, and says what the kernel read for it (``read_bytes`` of /proc/self/io). Reading ahead, the
rest of the page at both ends of a chunk and the indexes all count. The folder must be on a disk:
files of a memory file system never leave memory.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from pipeline.settings.dataset import SEASONS
from pipeline.store.layout import PIXEL_ARRAYS
from tests.benchmarks.textured_store import write_textured_store
from training.loading.loader import EpochSampler
from training.loading.samples import Draw, NolDataset

BATCH = 64
SHARD = 32
LIMIT = 1.2


def drop_from_cache(store):
    """Write back and forget every page of the store's files."""
    for path in store.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def bytes_from_disk():
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["read_bytes"])


def read_once(store, by_block, answers):
    """Read one epoch and send (bytes from disk, which season of each sample was read)."""
    dataset = NolDataset(store, "train", seed=1)
    shards = dataset.shards if by_block else None
    draws = list(EpochSampler(len(dataset), BATCH, seed=1, shards_N=shards))
    dataset.__getitems__([Draw(0, 0)])  # what is imported on first use comes from the disk as well
    drop_from_cache(store)
    before, seasons = bytes_from_disk(), []
    for first in range(0, len(draws), BATCH):
        batch = dataset.__getitems__(draws[first : first + BATCH])
        seasons += zip(batch.sample_B.tolist(), batch.season_B.tolist(), strict=True)
    answers.put((bytes_from_disk() - before, seasons))


def stored_bytes(store, seasons):
    """Compressed size of all chunks that were asked for."""
    return sum(chunk_bytes(store, array, *place) for array in PIXEL_ARRAYS for place in seasons)


def chunk_bytes(store, array, sample, season):
    per_sample = SEASONS // array.seasons_per_chunk
    index_bytes = 16 * SHARD * per_sample
    with (store / array.shard_key(sample // SHARD)).open("rb") as file:
        file.seek(-index_bytes - 4, os.SEEK_END)
        index = np.frombuffer(file.read(index_bytes), "<u8").reshape(SHARD, per_sample, 2)
    return int(index[sample % SHARD, season % per_sample, 1])


def measure(store, by_block):
    """(bytes from disk, bytes of chunks, samples) of one epoch in a fresh process."""
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=read_once, args=(store, by_block, answers))
    process.start()
    read, seasons = answers.get(timeout=120)
    process.join()
    return read, stored_bytes(store, seasons), len(seasons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--folder", type=Path, help="on a disk; default: that of temporary files")
    arguments = parser.parse_args()
    shares = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        store = write_textured_store(Path(folder) / "nol.zarr", arguments.samples, SHARD)
        for shuffle in ("global", "block"):
            read, stored, samples = measure(store, shuffle == "block")
            shares.append(read / stored)
            print(
                f"  shuffle {shuffle:6s} {read / samples / 1e3:8.1f} kB from disk per sample, "
                f"its chunks {stored / samples / 1e3:.1f} kB: x{shares[-1]:.3f} (limit {LIMIT})"
            )
    if min(shares) < 0.5:
        sys.exit("error: the files were still in memory; name a folder on a disk with --folder")
    if max(shares) > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
