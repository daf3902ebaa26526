"""Samples per second of the training reader, against the released data set and against bare reads.

    python -m tests.benchmarks.bench_loader [--samples 128] [--rounds 5]

Per core: batches of 64 in this process, files warm, rounds of the three forms interleaved and the
best of each compared. The released form smooths and augments while it reads; ours leaves that to
the device (``bench_step``). With workers: whole loaders, again interleaved; beside the time stands
the CPU time of all processes per sample, which a busy machine changes less, and how many cores they
had: fewer than there are workers means that others took them.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numcodecs
import numpy as np
import psutil
import torch
from torch.utils.data import Sampler

from pipeline.settings.dataset import SEASONS
from pipeline.store.layout import PIXEL_ARRAYS
from tests.benchmarks.released_loader import ReleasedDataset, write_records
from tests.benchmarks.textured_store import textured_places, write_textured_store
from training.loading.loader import make_loader
from training.loading.samples import Draw, NolDataset

BATCH = 64
SHARD = 32
RELEASED_PLACES = 32
RATIO_LIMIT, RATIO_AIM = 25.0, 50.0
RAW_LIMIT = 0.5
LINEAR_LIMIT = 0.8
CHECKSUM = 4
"""Bytes of a chunk behind what the compressor made."""


class Passes(Sampler):
    """Random draws of many epochs in a row, so that the start of an epoch does not count."""

    def __init__(self, samples, batches):
        self._samples, self._batches = samples, batches

    def __len__(self):
        return self._batches * BATCH

    def __iter__(self):
        rng = np.random.default_rng(7)
        for batch in range(self._batches):
            for place in rng.integers(0, self._samples, BATCH):
                yield Draw(batch, int(place))


class RawReader:
    """The same bytes by memory map and the decompressor alone, into memory that is used again.

    It looks at no checksum.
    """

    def __init__(self, store, samples):
        self._maps, self._out, self._decoders = {}, {}, {}
        for array in PIXEL_ARRAYS:
            files = [store / array.shard_key(shard) for shard in range(samples // SHARD)]
            self._maps[array.name] = [np.memmap(file, np.uint8, "r") for file in files]
            item = array.chunk_shape(264)[2 if array.seasons_per_chunk == 1 else 1 :]
            self._out[array.name] = np.zeros((BATCH, *item), array.dtype)
            blosc = array.codecs[0]["name"] == "blosc"
            self._decoders[array.name] = numcodecs.Blosc() if blosc else numcodecs.Zstd()
        self._indexes = {
            name: [np.frombuffer(m[-self._index_bytes(name) - 4 : -4], "<u8") for m in maps]
            for name, maps in self._maps.items()
        }

    def _index_bytes(self, name):
        return 16 * SHARD * (1 if name == "label" else SEASONS)

    def batch(self, samples, seasons):
        for array in PIXEL_ARRAYS:
            name, per_sample = array.name, SEASONS // array.seasons_per_chunk
            decode, out = self._decoders[name].decode, self._out[name]
            for row, (sample, season) in enumerate(zip(samples, seasons, strict=True)):
                shard, place = divmod(sample, SHARD)
                index = self._indexes[name][shard].reshape(SHARD, per_sample, 2)
                start, length = index[place, season % per_sample].tolist()
                decode(self._maps[name][shard][start : start + length - CHECKSUM], out[row])


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def per_core(store, records, samples, rounds):
    """Best seconds per sample of each form."""
    released, raw = ReleasedDataset(records), RawReader(store, samples)
    ours = NolDataset(store, "train", seed=1)
    rng = np.random.default_rng(3)
    best = dict.fromkeys(("released", "ours", "raw"), float("inf"))
    for number in range(rounds + 1):
        places = rng.permutation(samples)[:BATCH].tolist()
        seasons = rng.integers(0, SEASONS, BATCH).tolist()
        few = rng.integers(0, RELEASED_PLACES, 12)
        # As a training does, one batch is held while the next is read.
        held = ours.__getitems__(places)
        times = {
            "released": seconds(lambda few=few: released.batch(few)) / len(few),
            "ours": seconds(lambda p=places, e=number: ours.__getitems__([Draw(e, k) for k in p]))
            / BATCH,
            "raw": seconds(lambda p=places, s=seasons: raw.batch(p, s)) / BATCH,
        }
        del held
        if number:  # the first round warms up
            best = {name: min(best[name], times[name]) for name in best}
    return best


def with_workers(store, samples, counts, rounds):
    """Best (samples per second, CPU seconds per sample) with each number of workers."""
    dataset = NolDataset(store, "train", seed=1)
    loaders = {
        count: make_loader(dataset, Passes(samples, 12 + 12 * count), BATCH, count)
        for count in counts
    }
    best = dict.fromkeys(counts, (0.0, float("inf")))
    for _ in range(rounds):
        for count, loader in loaders.items():
            rate, cost = _steady(loader, skipped=4 + 2 * count)
            best[count] = max(best[count][0], rate), min(best[count][1], cost)
    return best


def _steady(loader, skipped):
    batches = iter(loader)
    for _ in range(skipped):
        next(batches)
    start, cpu = time.perf_counter(), _cpu_seconds()
    read = sum(len(batch.sample_B) for batch in batches)
    return read / (time.perf_counter() - start), (_cpu_seconds() - cpu) / read


def _cpu_seconds():
    process = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children()))


def report_per_core(best):
    """Print the three speeds; whether the limits hold."""
    print(f"per core, batches of {BATCH}, warm, interleaved:")
    for name, cost in best.items():
        print(f"  {name:9s} {1 / cost:8.0f} samples/s   {cost * 1e3:7.3f} ms per sample")
    ratio, share = best["released"] / best["ours"], best["raw"] / best["ours"]
    print(f"  ours to released {ratio:.1f} (limit {RATIO_LIMIT:.0f}, aim {RATIO_AIM:.0f})")
    print(f"  ours to the bare read {share:.2f} (limit {RAW_LIMIT})")
    return ratio >= RATIO_LIMIT and share >= RAW_LIMIT


def report_workers(rates):
    """Print the speed of each loader; whether they scale."""
    print("loaders with workers:")
    shares = {count: rate / (count * rates[1][0]) for count, (rate, _) in rates.items()}
    for count, (rate, cost) in rates.items():
        print(
            f"  {count:2d} workers {rate:8.0f} samples/s   {shares[count]:4.0%} of linear"
            f"   {cost * 1e3:.3f} ms of CPU per sample, {rate * cost:.1f} cores at work"
        )
    most = max(rates)
    print(f"  with {most} workers {shares[most]:.0%} of linear (limit {LINEAR_LIMIT:.0%})")
    return shares[most] >= LINEAR_LIMIT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    counts = [2**power for power in range(arguments.workers.bit_length())]
    counts = sorted({count for count in counts if count < arguments.workers} | {arguments.workers})
    with tempfile.TemporaryDirectory() as folder:
        store, records = Path(folder) / "nol.zarr", Path(folder) / "released"
        records.mkdir()
        write_textured_store(store, arguments.samples, SHARD)
        write_records(records, textured_places(RELEASED_PLACES), RELEASED_PLACES)
        fast = report_per_core(per_core(store, records, arguments.samples, arguments.rounds))
        rates = with_workers(store, arguments.samples, counts, max(1, arguments.rounds // 2))
        scales = report_workers(rates)
    if not (fast and scales):
        sys.exit(1)


if __name__ == "__main__":
    main()
