"""What the checks gather while they pass over a store, shard by shard, and how shards are merged.

A shard's evidence is of a constant size, however many samples it has: findings about single scenes,
up to a number, and sums over all scenes for what shows only in the mass.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pixel_sums import Sums, merge_sums
from pipeline.verify.findings import Finding

LISTED = 200
"""Findings of one check that are kept; the rest are counted."""

PoolKey = tuple[Any, ...]
"""Name of the check, then whatever it sums by."""


@dataclass
class Evidence:
    """Merged in any grouping; findings stay in the order of the parts.

    Attributes:
        findings: About single scenes, samples and files.
        omitted: Findings beyond `LISTED`, by check.
        examined: Things compared, by check.
        pools: Sums over scenes, each check's own.
        sums: Exact sums of values and labels, by split (or group), season and band.
    """

    findings: list[Finding] = field(default_factory=list)
    omitted: Counter[str] = field(default_factory=Counter)
    examined: Counter[str] = field(default_factory=Counter)
    pools: dict[PoolKey, NDArray[np.float64]] = field(default_factory=dict)
    sums: Sums = field(default_factory=Sums)

    def add_pool(self, key: PoolKey, values: NDArray[Any]) -> None:
        """Add values to a pool."""
        known = self.pools.get(key)
        self.pools[key] = values.astype(np.float64) if known is None else known + values


def merge_evidence(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several parts of a store."""
    merged = Evidence(sums=merge_sums([part.sums for part in parts]))
    listed: Counter[str] = Counter()
    for part in parts:
        merged.examined.update(part.examined)
        merged.omitted.update(part.omitted)
        for finding in part.findings:
            listed[finding.check] += 1
            if listed[finding.check] <= LISTED:
                merged.findings.append(finding)
            else:
                merged.omitted[finding.check] += 1
        for key, values in part.pools.items():
            merged.add_pool(key, values)
    return merged
