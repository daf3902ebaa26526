"""Small stores of painted landscapes: fields of real spectra, radar and labels on one ground."""

import json
from dataclasses import replace

import numpy as np
import zarr

from pipeline.season_pixels import SeasonPixels
from pipeline.store.create import create_store
from pipeline.store.shards import write_shard
from pipeline.verify.spectra import BANDS, load_library_spectra
from tests.small_dataset import make_location, make_settings

PATCH = 96
SAMPLES = 8
SHARD = 3

# Class, backscatter in dB (VV, VH), and what its spectrum must be like: B4, NDVI at least, at most.
SURFACES = (
    (0, (-19.0, -27.0), (-1.0, -0.2)),
    (1, (-8.0, -14.0), (0.5, 1.0)),
    (4, (-10.0, -17.0), (0.3, 0.5)),
    (6, (-3.0, -10.0), (0.0, 0.15)),
)


def class_spectra():
    """A spectrum of the library, (13,), for each of the surfaces."""
    spectra = load_library_spectra()
    red, near = spectra[:, BANDS.index("B4")], spectra[:, BANDS.index("B8")]
    index = (near - red) / (near + red)
    chosen = []
    for _, _, (least, most) in SURFACES:
        fitting = np.flatnonzero((index >= least) & (index <= most) & (red < 3000))
        chosen.append(spectra[fitting[len(fitting) // 2]])
    return np.array(chosen)


def paint(sample, season, size=PATCH):
    """Pixels of one scene; the fields of a sample stay from season to season."""
    bands, radar, label = _paint_fine(sample, season, size)
    return SeasonPixels(
        s2_10m=_stack(bands, ["B2", "B3", "B4", "B8"], 1),
        s2_20m=_stack(bands, ["B5", "B6", "B7", "B8A", "B11", "B12"], 2),
        s2_60m=_stack(bands, ["B1", "B9", "B10"], 6),
        s1=radar,
        label=label,
    )


def paint_tile(sample, size):
    """Pixels of one tile of a store of tiles, all bands at 10 m."""
    bands, radar, label = _paint_fine(sample, 0, size)
    return {"s2": _stack(bands, BANDS, 1), "s1": radar, "label": label}


def _paint_fine(sample, season, size):
    """Bands by name, backscatter and label, all at 10 m."""
    rng = np.random.default_rng([7, sample])
    fields = _fields(rng, size)
    noise = np.random.default_rng([8, sample, season])
    spectra = class_spectra() * noise.uniform(0.95, 1.05)
    fine = spectra[fields] * noise.normal(1, 0.02, (size, size, 13))
    echoes = np.array([echo for _, echo, _ in SURFACES])[fields]
    radar = np.rint(100 * (echoes + noise.normal(0, 1.5, echoes.shape)))
    label = np.array([surface[0] for surface in SURFACES], np.uint8)[fields]
    bands = {name: fine[..., i] for i, name in enumerate(BANDS)}
    return bands, radar.astype(np.int16).transpose(2, 0, 1), label


def painted_pixels(size=PATCH):
    """Pixels by (sample, season)."""
    return {(i, t): paint(i, t, size) for i in range(SAMPLES) for t in range(4)}


def write_store(path, pixels):
    """A finished nol.zarr that says what it holds."""
    patch = len(next(iter(pixels.values())).label)
    settings = make_settings(path.parent, patch, SHARD)
    present = {sample for sample, _ in pixels}
    count = max(present) + 1
    create_store(path, settings, count)
    for shard in range(-(-count // SHARD)):
        write_shard(path, shard, {k: p for k, p in pixels.items() if k[0] // SHARD == shard})
    places = [make_location(sample, patch, SHARD) for sample in range(count)]
    lonlat = [place.grid.centre_lonlat for place in places]
    columns = {
        "id": [place.location_id for place in places],
        "split": [place.split for place in places],
        "epsg": [place.grid.epsg for place in places],
        "left": [place.grid.left for place in places],
        "top": [place.grid.top for place in places],
        "lon": [lon for lon, _ in lonlat],
        "lat": [lat for _, lat in lonlat],
        "valid": [sample in present for sample in range(count)],
    }
    for name, values in columns.items():
        array = zarr.open_array(path / name, mode="r+")
        array[...] = np.asarray(values, dtype=array.dtype)
    return path


def write_changed(path, pixels, change, samples=None, seasons=range(4)):
    """A store in which a function has changed some scenes; with samples given, it has no others."""
    wanted = range(SAMPLES) if samples is None else samples
    kept = {key: scene for key, scene in pixels.items() if key[0] in wanted}
    changed = {k: change(scene) if k[1] in seasons else scene for k, scene in kept.items()}
    return write_store(path, changed)


def shifted(*names):
    """Arrays moved by one pixel to the east."""

    def change(scene):
        return replace(scene, **{n: np.roll(getattr(scene, n), 1, axis=-1) for n in names})

    return change


def swapped(name, one, other):
    """Two bands of an array exchanged."""

    def change(scene):
        values = getattr(scene, name).copy()
        values[[one, other]] = values[[other, one]]
        return replace(scene, **{name: values})

    return change


def offset(*names):
    """The numbers of arrays raised by 1000."""

    def change(scene):
        return replace(scene, **{n: getattr(scene, n) + np.uint16(1000) for n in names})

    return change


def relabelled(ids):
    """Class ids replaced."""

    def change(scene):
        table = np.arange(256, dtype=np.uint8)
        for old, new in ids.items():
            table[old] = new
        return replace(scene, label=table[scene.label])

    return change


def set_attributes(path, **changes):
    """Change the attributes of a group."""
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"] |= changes
    (path / "zarr.json").write_text(json.dumps(document))


def _fields(rng, size):
    """Numbers of surfaces, (y, x): the nearest of a few dozen random points decides."""
    points = rng.uniform(0, size, (40, 2))
    rows, columns = np.mgrid[:size, :size]
    away = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    return rng.integers(0, len(SURFACES), len(points))[away.argmin(axis=-1)]


def _stack(bands, names, factor):
    size = len(bands["B2"]) // factor
    blocks = [bands[name].reshape(size, factor, size, factor).mean(axis=(1, 3)) for name in names]
    return np.maximum(np.rint(blocks), 1).astype(np.uint16)
