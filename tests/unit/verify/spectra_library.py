"""Makes ``pipeline/verify/spectra.csv`` from the real samples.

``python -m tests.unit.verify.spectra_library`` prints the table.
"""

import csv
import io
import os
import sys
from pathlib import Path

import numpy as np
import rasterio
from scipy.cluster.vq import kmeans2

from pipeline.sensors import cube_bands
from pipeline.verify.spectra import SPREADS, block_means, shapes

SAMPLES = Path(os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real"))
BANDS = [band.name for band in cube_bands("sentinel-2")]
SPECTRA = 48
BLOCKS_PER_SCENE = 100
WITH_OFFSET = ("terramind_433D_629L_3_1", "terramind_609U_541L_3_0")
"""Scenes whose numbers carry the offset of baseline 04.00; their B10 says so."""

SOURCE = (
    "k-means of 60 m blocks of real L1C scenes: EuroSAT (doi:10.1109/JSTARS.2019.2918242), "
    "TerraMesh less its offset of 1000, SSL4EO-S12, SEN12MS, SEN12MS-CR, Sen1Floods11, "
    "eo-learn Slovenia"
)


def real_scenes(samples=SAMPLES):
    """(13, y, x) digital numbers by name, no radiometric offset."""
    scenes = {}
    for path in sorted(samples.glob("eurosat/*/*.tif")):
        cube = _read(path)
        # EuroSAT has B8A last.
        scenes[path.stem] = np.concatenate([cube[:8], cube[12:], cube[8:12]])
    patterns = ("terramind*/S2L1C.tif", "eolearn*/S2L1C*.tif", "sen12ms/*_s2_*.tif")
    patterns += ("sen12mscr*/s2_*.tif", "sen1floods11*/S2L1C.tif")
    for pattern in patterns:
        for path in sorted(samples.glob(pattern)):
            cube = _read(path)
            if path.parent.name in WITH_OFFSET:
                cube = np.maximum(cube.astype(np.int32) - 1000, 1)
            scenes[f"{path.parent.name}/{path.stem}"] = cube
    for folder in sorted(samples.glob("ssl4eo_*/s2c/*")):
        native = [_read(folder / f"{band}.tif")[0] for band in BANDS]
        rows = max(len(band) for band in native)
        scenes[f"ssl4eo/{folder.name}"] = np.stack(
            [band.repeat(rows // len(band), 0).repeat(rows // len(band), 1) for band in native]
        )
    return scenes


def library(scenes):
    """(spectra, 13) reflectance x 10000, darkest in B4 first."""
    rng = np.random.default_rng(0)
    drawn = []
    for cube in scenes.values():
        blocks = block_means({name: cube[i] for i, name in enumerate(BANDS)}, 6)
        some = rng.permutation(blocks.shape[1])[:BLOCKS_PER_SCENE]
        drawn.append(blocks[:, some])
    blocks = np.concatenate(drawn, axis=1)
    points = (shapes(blocks) / SPREADS[:, None]).T
    _, members = kmeans2(points, SPECTRA, minit="++", iter=30, rng=np.random.default_rng(1))
    groups = [blocks[:, members == k] for k in range(SPECTRA) if np.any(members == k)]
    spectra = np.array([np.exp(np.log(np.maximum(group, 1)).mean(axis=1)) for group in groups])
    return spectra[np.argsort(spectra[:, 3])]


def table(spectra):
    """The text of the CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["spectrum", *BANDS, "source"])
    for number, spectrum in enumerate(spectra):
        source = SOURCE if number == 0 else "as above"
        writer.writerow([number, *np.rint(spectrum).astype(int), source])
    return text.getvalue()


def _read(path):
    with rasterio.open(path) as file:
        return file.read()


if __name__ == "__main__":
    sys.stdout.write(table(library(real_scenes())))
