"""The smooth random fields from which terrain, climate, waters and vegetation are made."""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.simulator.noise import stable_hash, value_noise
from pipeline.simulator.sheets import NodeLattice
from pipeline.simulator.tables import read_table

Fields = dict[str, NDArray[np.float32]]
"""By name, (rows, columns) at the nodes of a lattice."""


def smooth_fields(nodes: NodeLattice, seed: int) -> Fields:
    """All fields of ``fields.csv`` at the nodes, each with mean 0 and standard deviation 1."""
    spacings, salts = _layers(seed)
    layers = value_noise(nodes.in_space, spacings, salts)
    fields = {}
    for name, (first, weights) in _table().items():
        total = layers[first] * weights[0]
        for position, weight in enumerate(weights[1:], first + 1):
            total += layers[position] * weight
        fields[name] = total.reshape(nodes.shape)
    return fields


@cache
def _table() -> dict[str, tuple[int, NDArray[np.float32]]]:
    """By field: position of its first layer, and weights whose squares add to one."""
    table: dict[str, tuple[int, NDArray[np.float32]]] = {}
    position = 0
    for name, layers in _rows().items():
        weights = np.array([weight for _, weight in layers])
        table[name] = position, (weights / np.sqrt((weights**2).sum())).astype(np.float32)
        position += len(layers)
    return table


@lru_cache(maxsize=8)
def _layers(seed: int) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    layers = [(name, spacing) for name, rows in _rows().items() for spacing, _ in rows]
    salts = [stable_hash(seed, "field", name, spacing) for name, spacing in layers]
    return np.array([spacing for _, spacing in layers]), np.array(salts, np.uint64)


@cache
def _rows() -> dict[str, list[tuple[float, float]]]:
    rows: dict[str, list[tuple[float, float]]] = {}
    for row in read_table("fields.csv"):
        layer = float(row["spacing_m"]), float(row["weight"])
        rows.setdefault(row["field"], []).append(layer)
    return rows
