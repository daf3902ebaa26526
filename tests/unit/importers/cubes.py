"""Small files of both editions of SSL4EO-S12 v1.1."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numcodecs
import numpy as np

from tests.unit.importers.releases import S1_SCENES, S2_SCENES


def zarr_zip(
    path: Path | io.BytesIO,
    arrays: dict[str, np.ndarray],
    chunks: dict[str, tuple[int, ...]],
) -> None:
    """A zipped Zarr v2 group, compressed by Blosc as the published files are."""
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    codec = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=1)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(".zgroup", json.dumps({"zarr_format": 2}))
        for name, values in arrays.items():
            cut = chunks.get(name, values.shape)
            metadata = {
                "zarr_format": 2,
                "shape": values.shape,
                "chunks": cut,
                "dtype": values.dtype.str,
                "compressor": codec.get_config(),
                "fill_value": None,
                "order": "C",
                "filters": None,
            }
            archive.writestr(f"{name}/.zarray", json.dumps(metadata))
            for numbers in np.ndindex(*(s // c for s, c in zip(values.shape, cut, strict=True))):
                where = tuple(slice(n * c, (n + 1) * c) for n, c in zip(numbers, cut, strict=True))
                chunk = codec.encode(np.ascontiguousarray(values[where]))
                archive.writestr(f"{name}/{'.'.join(map(str, numbers)) or '0'}", chunk)


PIXELS = 24
CUBE_BANDS = [f"B{n:02d}" for n in range(1, 9)] + ["B8A", "B09", "B10", "B11", "B12"]


def cube_arrays(offsets: list[int], part: str) -> dict[str, np.ndarray]:
    """Two samples of v1.1; the first season's scene comes last in the file."""
    scenes = S2_SCENES if part == "s2" else S1_SCENES
    names = CUBE_BANDS if part == "s2" else ["vv", "vh"]
    bands = np.zeros((2, 4, len(names), PIXELS, PIXELS), "<i2" if part == "s2" else "<f2")
    for season in range(4):
        for number, name in enumerate(names):
            level = (25 if name == "B10" else 700 + 100 * number) + season + offsets[season]
            bands[:, season, number] = level if part == "s2" else -10 - number - season / 4
    order = [1, 2, 3, 0]
    x = 600_005.0 + 10 * np.arange(PIXELS)
    return {
        "bands": bands[:, order],
        "band": np.array(names),
        "sample": np.array(["0000173", "0000042"]),
        "file_id": np.array([[scenes[season] for season in order]] * 2),
        "crs": np.array([32632, 32732]),
        "x_": np.stack([x, x + 5000]),
        "y_": np.stack([5_300_005.0 - 10 * np.arange(PIXELS)] * 2),
    }


def single_group(part: str, position: int, **changed: np.ndarray) -> bytes:
    """One sample of the WebDataset edition of v1.1, without offset and in order of time."""
    arrays = cube_arrays([0] * 4, part)
    order = np.argsort(arrays["file_id"][position])
    own = {name: arrays[name][position] for name in ("crs", "sample")}
    own |= {
        "bands": arrays["bands"][position][order],
        "file_id": arrays["file_id"][position][order],
        "band": arrays["band"],
        "x": arrays["x_"][position],
        "y": arrays["y_"][position],
        "time": np.arange(4),
        "center_lon": np.array([11.0, 12.0][position]),
        "center_lat": np.array([48.0, -40.0][position]),
    }
    content = io.BytesIO()
    zarr_zip(content, {name: np.asarray(values) for name, values in (own | changed).items()}, {})
    return content.getvalue()


def write_shards(folder: Path, keys: list[str], s2=None, s1=None) -> Path:
    """A split of two samples as tar shards, one per modality."""
    for part, modality, changed in (("s2", "S2L1C", s2 or {}), ("s1", "S1GRD", s1 or {})):
        path = folder / "val" / modality / "ssl4eos12_shard_000001.tar"
        path.parent.mkdir(parents=True)
        with tarfile.open(path, "w") as archive:
            for position, key in enumerate(keys):
                content = single_group(part, position, **changed)
                entry = tarfile.TarInfo(f"{key}.zarr.zip")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return folder
