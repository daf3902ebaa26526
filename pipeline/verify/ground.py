"""Do the arrays of a sample show the same ground at all? No displacement explains what does not.

`alignment` finds arrays that lie a few pixels beside the others. An array of another place, one
that is upside down or transposed, or one displaced farther than the correlation looks, has no
place where it fits: its edges correlate in place no better than anywhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.verify.displacement import REACH
from pipeline.verify.findings import Finding
from pipeline.verify.limits import load_limits
from pipeline.verify.pairs import Pair, PairKey, unpooled
from pipeline.verify.stored import Sample

CHECK = "ground"
MEANING = (
    "arrays of a sample show the same ground; a finding is a mix-up, or an array turned or flipped"
)

_RING = np.ones((2 * REACH + 1, 2 * REACH + 1), bool)
_RING[1:-1, 1:-1] = False
"""The farthest shifts: what the correlation is where images do not fit."""


def foreign_arrays(sample: Sample, season: int | None, pairs: Sequence[Pair]) -> list[Finding]:
    """Bands of 20 m that show another ground than those of 10 m, though both have clear edges.

    Over open water each band sees its own noise: there is nothing to agree on, within neither.

    Args:
        sample: They belong to.
        season: As findings name it.
        pairs: Comparisons of this season.
    """
    limits = load_limits()
    whole = [pair for pair in pairs if pair.of_arrays and pair.edge >= limits.shift_edge_scene]
    within = [
        [_contrast(pair.surface) for pair in pairs if pair.against == f"the other {size} m bands"]
        for size in (10, 20)
    ]
    if not all(within) or min(map(np.median, within)) < limits.ground_within_scene:
        return []
    return [
        Finding(
            CHECK,
            sample.group.label(pair.array),
            sample.id,
            season,
            f"correlation {_contrast(pair.surface):+.2f} beyond that of any other place",
            f"at least {limits.ground_between_scene:g}",
            f"shows other ground than {pair.against}: another sample, turned or flipped",
        )
        for pair in whole
        if _contrast(pair.surface) < limits.ground_between_scene
    ]


def conclude_ground(pools: Mapping[PairKey, NDArray[np.float64]]) -> list[Finding]:
    """Arrays that over many scenes fit in place no better than anywhere else.

    Args:
        pools: Sums over scenes of the comparisons in which no displacement was found.
    """
    found = {key: one for key, values in pools.items() if (one := _foreign(key, values))}
    whole = {(key.group, key.array, key.against) for key in found if key.season is None}
    return [
        finding
        for key, finding in found.items()
        if key.season is None or (key.group, key.array, key.against) not in whole
    ]


def _foreign(key: PairKey, values: NDArray[np.float64]) -> Finding | None:
    limits = load_limits()
    count, surface, gains, _ = unpooled(values)
    if count < limits.ground_scenes_store:
        return None
    mean = (surface[REACH, REACH] - surface[_RING]) / count
    variance = np.maximum(gains[_RING] / count - mean**2, 1e-12)
    certain = float(np.median(mean / np.sqrt(variance / count)))
    if certain >= limits.ground_t_store:
        return None
    return Finding(
        CHECK,
        f"{key.group}/{key.array}" if key.group else key.array,
        "",
        key.season,
        f"fits in place better than elsewhere by {certain:.1f} standard errors",
        f"at least {limits.ground_t_store:g}, over {count:.0f} scenes",
        f"shows other ground than {key.against}: mixed up with other samples, turned, flipped, or "
        f"displaced by more than {REACH} px",
    )


def _contrast(surface: NDArray[Any]) -> float:
    """Correlation in place beyond what it is anywhere."""
    return float(surface[REACH, REACH] - np.median(surface[_RING]))
