"""Reads the numbers of the released code (see vectors/README.md) as tensors."""

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "vectors"

FLOAT64_LIMIT = 1e-6
FLOAT32_LIMIT = 2e-5


@cache
def vectors(name: str) -> dict[str, torch.Tensor]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return {
            key: torch.from_numpy(np.atleast_1d(arrays[key]))
            for key in arrays.files
            if arrays[key].dtype.kind in "fiu" and arrays[key].dtype != np.uint16
        } | {
            key: torch.from_numpy(arrays[key].astype(np.int32))
            for key in arrays.files
            if arrays[key].dtype == np.uint16
        }


@cache
def scalars(name: str) -> dict[str, float]:
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(zip(arrays["scalar_names"].tolist(), arrays["scalar_values"], strict=True))


@cache
def keys() -> dict:
    return json.loads(gzip.decompress((FOLDER / "keys.json.gz").read_bytes()))


def assert_close(ours: torch.Tensor, released: torch.Tensor, limit: float) -> None:
    assert ours.shape == released.shape
    assert float((ours.double() - released.double()).abs().max()) <= limit
