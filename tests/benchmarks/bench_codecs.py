"""Codecs of Zarr v3 on the chunks of a store: how small, how fast to read, how fast to write.

    python -m tests.benchmarks.bench_codecs [--rounds 12]

Prints the tables of docs/codecs.md. The imagery is that of the real SSL4EO-S12 place among the
sample data (NOLDO_SAMPLE_DATA) where it is at hand, and textures that compress like it; the labels
are made up. A codec is compared with those that are decoded at least as fast, give or take 10 %.
"""

import argparse
import itertools
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numcodecs import Blosc, Zstd, blosc

from pipeline.sensors import bands_of
from pipeline.store.layout import BLOSC_SHUFFLE, ZSTD
from tests.benchmarks.textured_store import textured_places

SAMPLE_DATA = Path(os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real"))
REAL_PLACE = SAMPLE_DATA / "ssl4eo_0000200"
LIMIT = 1.1
SAME_SPEED = 1.1
OPTICAL = ("s2_10m", "s2_20m", "s2_60m")
SHUFFLES = {"no": Blosc.NOSHUFFLE, "byte": Blosc.SHUFFLE, "bit": Blosc.BITSHUFFLE}


class Measured(NamedTuple):
    """Of one codec on one kind of chunk, per chunk set of a (sample, season)."""

    name: str
    ratio: float
    decode_us: float
    encode_ms: float


def image_codecs():
    codecs = {"zstd 5": Zstd(5)}
    levels = {"lz4": (5,), "lz4hc": (3, 5, 7, 9), "zstd": (1, 3, 5, 9)}
    for compressor, shuffle in itertools.product(levels, ("byte", "bit")):
        for level in levels[compressor]:
            name = f"blosc {compressor} {level}, {shuffle} shuffle"
            codecs[name] = Blosc(compressor, clevel=level, shuffle=SHUFFLES[shuffle])
    return codecs


def label_codecs():
    codecs = {f"zstd {level}": Zstd(level) for level in (1, 5, 9, 15)}
    for compressor, shuffle in itertools.product(("lz4", "lz4hc", "zstd"), ("no", "bit")):
        name = f"blosc {compressor} 5, {shuffle} shuffle"
        codecs[name] = Blosc(compressor, clevel=5, shuffle=SHUFFLES[shuffle])
    return codecs


def real_seasons():
    """The chunks of both dates of the real place."""
    seasons = []
    for optical, radar in zip(*(sorted((REAL_PLACE / s).iterdir()) for s in ("s2c", "s1"))):  # noqa: B905
        chunks = [np.stack([_band(optical, b.name) for b in bands_of(a)]) for a in OPTICAL]
        decibels = np.stack([_band(radar, name) for name in ("VV", "VH")])
        seasons.append([*chunks, np.rint(decibels * 100).astype(np.int16)])
    return seasons


def _band(folder, name):
    with rasterio.open(folder / f"{name}.tif") as file:
        return file.read(1)


def measure(codecs, sets, rounds):
    """Each codec on sets of chunks: compression, best time to decode a set, time to encode one."""
    encoded, written = {}, {}
    for name, codec in codecs.items():
        start = time.perf_counter()
        encoded[name] = [[bytes(codec.encode(chunk)) for chunk in chunks] for chunks in sets]
        written[name] = (time.perf_counter() - start) / len(sets)
    out = [np.empty_like(chunk) for chunk in sets[0]]
    best = dict.fromkeys(codecs, float("inf"))
    for _, (name, codec) in itertools.product(range(rounds), codecs.items()):
        start = time.perf_counter()
        for chunks in encoded[name]:
            for chunk, target in zip(chunks, out, strict=True):
                codec.decode(chunk, target)
        best[name] = min(best[name], (time.perf_counter() - start) / len(sets))
    whole = sum(chunk.nbytes for chunks in sets for chunk in chunks)
    return [
        Measured(
            name,
            whole / sum(len(chunk) for chunks in encoded[name] for chunk in chunks),
            best[name] * 1e6,
            written[name] * 1e3,
        )
        for name in codecs
    ]


def report(title, rows, ours):
    """Print one table; how much larger our codec is than the best of those as fast."""
    print(f"\n{title}\n")
    print("| codec | ratio | decode, µs | encode, ms |\n| --- | ---: | ---: | ---: |")
    for row in sorted(rows, key=lambda row: row.decode_us):
        name = f"**{row.name}**" if row.name == ours else row.name
        print(f"| {name} | {row.ratio:.2f} | {row.decode_us:.0f} | {row.encode_ms:.1f} |")
    mine = next(row for row in rows if row.name == ours)
    as_fast = [row for row in rows if row.decode_us <= mine.decode_us * SAME_SPEED]
    best = max(as_fast, key=lambda row: row.ratio)
    smallest = max(rows, key=lambda row: row.ratio)
    larger = best.ratio / mine.ratio
    print(
        f"\nIn use: {mine.name}, {larger:.3f} times the size of the smallest as fast to read "
        f"({best.name}; limit {LIMIT}); {smallest.ratio / mine.ratio:.3f} times the smallest of "
        f"all ({smallest.name}), which takes {smallest.decode_us / mine.decode_us:.1f} times as "
        "long to read."
    )
    return larger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    rounds = parser.parse_args().rounds
    blosc.use_threads = False
    options = BLOSC_SHUFFLE["configuration"]
    image_codec = f"blosc {options['cname']} {options['clevel']}, byte shuffle"
    label_codec = f"zstd {ZSTD['configuration']['level']}"
    places = textured_places(2)
    imagery = [[*(getattr(p, a) for a in OPTICAL), p.s1] for p in list(places.values())[::2]]
    labels = [[np.stack([places[place, t].label for t in range(4)])] for place in (0, 1)]
    tables = [("Imagery, made-up textures", imagery, image_codecs(), image_codec)]
    if REAL_PLACE.is_dir():
        tables.insert(0, ("Imagery, one real place", real_seasons(), image_codecs(), image_codec))
    tables.append(("Labels of four seasons, made up", labels, label_codecs(), label_codec))
    larger = [
        report(title, measure(codecs, sets, rounds), ours) for title, sets, codecs, ours in tables
    ]
    if max(larger) > LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
