"""A store with textures that compress like real ones, made by our own writer.

Parcels with noisy borders carry a spectrum each; a texture whose power falls with the square of the
frequency, the blur of the optics and the noise of the sensor are added at native resolution. The
amounts were set so that each array is compressed as far as one SSL4EO-S12 place (0000200, two
dates of Level-1C and of Sentinel-1): Blosc zstd 5 with bit shuffle 1.60, 1.42, 2.06 and 1.47 for
10 m, 20 m, 60 m and radar, lz4hc 9 with byte shuffle 1.58, 1.42, 1.83 and 1.48. Labels follow the
parcels with ragged edges, one shard of places is written and copied for the others.
"""

import shutil
from pathlib import Path

import numpy as np
import zarr
from scipy.ndimage import gaussian_filter, map_coordinates

from pipeline.season_pixels import SeasonPixels
from pipeline.settings.dataset import SEASONS
from pipeline.settings.tree import validate_settings
from pipeline.store.create import create_store
from pipeline.store.layout import PIXEL_ARRAYS
from pipeline.store.shards import write_shard

PATCH = 264
PARCELS = 60
GRAIN = {"s2_10m": 34.0, "s2_20m": 46.0, "s2_60m": 9.0}
"""Standard deviation of the sensor's noise, reflectance x 10000."""

SPECKLE = 118.0
"""Standard deviation of the speckle, 0.01 dB."""


def power_law(rng, size, exponent=1.5):
    """A random texture of unit variance whose amplitude falls with a power of the frequency."""
    rows = np.fft.fftfreq(size)[:, None]
    columns = np.fft.rfftfreq(size)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    phases = rng.standard_normal((*frequency.shape, 2)) @ np.array([1, 1j])
    texture = np.fft.irfft2(phases * frequency**-exponent, s=(size, size))
    return (texture / texture.std()).astype(np.float32)


def parcels(rng, size=PATCH):
    """(H, W) number of the nearest of some points, with warped borders."""
    points = rng.uniform(0, size, (PARCELS, 2))
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    rows += 6 * power_law(rng, size)
    columns += 6 * power_law(rng, size)
    distance = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    return distance.argmin(-1)


def coarse(values, step):
    """Means over squares of so many pixels."""
    bands, size, _ = values.shape
    blocks = values.reshape(bands, size // step, step, size // step, step)
    return blocks.mean((2, 4))


def textured_pixels(rng, ground, classes):
    """One season over parcels: its spectra, its texture, its noise."""
    spectra = rng.gamma(6.0, 260.0, (PARCELS, 13)).astype(np.float32)
    relief = power_law(rng, PATCH)
    optical = spectra[ground].transpose(2, 0, 1) * (1 + 0.12 * relief)
    optical = np.stack([gaussian_filter(band, 0.8) for band in optical])

    def stored(bands, step, name):
        values = coarse(bands, step) + GRAIN[name] * rng.standard_normal(
            (len(bands), PATCH // step, PATCH // step), np.float32
        )
        return np.clip(np.rint(values), 1, 12_000).astype(np.uint16)

    radar = rng.normal([-1100, -1800], 250, (PARCELS, 2)).astype(np.float32)[ground]
    speckle = SPECKLE * rng.standard_normal((2, PATCH, PATCH), np.float32)
    ragged = map_coordinates(
        classes[ground],
        np.mgrid[:PATCH, :PATCH] + 2.5 * np.stack([power_law(rng, PATCH, 1.0) for _ in range(2)]),
        order=0,
        mode="nearest",
    )
    return SeasonPixels(
        s2_10m=stored(optical[:4], 1, "s2_10m"),
        s2_20m=stored(optical[4:10], 2, "s2_20m"),
        s2_60m=stored(optical[10:], 6, "s2_60m"),
        s1=np.rint(gaussian_filter(radar, (1, 1, 0)).transpose(2, 0, 1) + speckle).astype(np.int16),
        label=ragged.astype(np.uint8),
    )


def textured_places(count, seed=0):
    """All seasons of so many places, by (sample, season)."""
    pixels = {}
    for sample in range(count):
        rng = np.random.default_rng([seed, sample])
        ground, classes = parcels(rng), rng.integers(0, 9, PARCELS)
        for season in range(SEASONS):
            pixels[sample, season] = textured_pixels(rng, ground, classes)
    return pixels


def write_textured_store(path: Path, samples: int, shard_size: int = 32) -> Path:
    """A finished store; every shard holds the same places, in files of its own."""
    settings = validate_settings({"grid": {"pixels": PATCH}, "store": {"shard_size": shard_size}})
    create_store(path, settings, samples)
    write_shard(path, 0, textured_places(shard_size))
    for shard in range(1, samples // shard_size):
        for array in PIXEL_ARRAYS:
            target = path / array.shard_key(shard)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path / array.shard_key(0), target)
    group = zarr.open_group(path, mode="r+")
    group["id"][:] = np.array([f"{sample:07d}" for sample in range(samples)], dtype=object)
    group["split"][:] = np.full(samples, "train", dtype=object)
    group["valid"][:] = True
    return path
