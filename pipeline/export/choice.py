"""Which samples of a store to export: by id, by place, by split."""

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.export.file_names import file_stems
from pipeline.export.store_group import StoreGroup

_NEAREST = 3
"""Ids named when one is not found."""


@dataclass(frozen=True)
class Choice:
    """What was asked for; everything that is left out does not restrict.

    Attributes:
        ids: Sample ids.
        box: West, south, east, north of the box that centres must lie in, degrees; west may be
            greater than east, for a box across the antimeridian.
        split: E.g. "train", "validation" or "test".
    """

    ids: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None
    split: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        box = list(self.box) if self.box else None
        return {"ids": sorted(self.ids), "box": box, "split": self.split}


@dataclass(frozen=True)
class ChosenSample:
    """One sample to export.

    Attributes:
        group: Name of its group; empty for a store that is one group.
        sample: Its index.
        id: Its id.
        stem: What its files are called.
    """

    group: str
    sample: int
    id: str
    stem: str


def choose(groups: Sequence[StoreGroup], choice: Choice) -> list[ChosenSample]:
    """The complete samples that a choice names, in the order of the store.

    Raises:
        PipelineError: An id, a split or a box is not there or holds nothing, or a sample has no
            name of its own.
    """
    _require_ids(groups, choice.ids)
    _require_split(groups, choice.split)
    chosen = [each for group in groups for each in _chosen(group, choice)]
    if not chosen:
        count = sum(int(group.valid.sum()) for group in groups)
        raise PipelineError(
            f"none of the {count:,} complete samples of {groups[0].store} fits the choice; "
            "widen the box, or leave out --split"
        )
    _require_names(groups, chosen)
    return chosen


def _chosen(group: StoreGroup, choice: Choice) -> Iterator[ChosenSample]:
    # Of all ids: what a file is called must not depend on the choice.
    stems = file_stems(group.ids)
    for sample in np.flatnonzero(group.valid & _wanted(group, choice)):
        name = group.ids[sample]
        yield ChosenSample(group.name, int(sample), name, stems[name])


def _wanted(group: StoreGroup, choice: Choice) -> NDArray[np.bool_]:
    wanted = np.ones(len(group.ids), bool)
    if choice.ids:
        wanted &= np.isin(group.ids, choice.ids)
    if choice.split is not None:
        wanted &= np.array([split == choice.split for split in group.splits], bool)
    if choice.box is not None:
        wanted &= _in_box(group, choice.box)
    return wanted


def _in_box(group: StoreGroup, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    west, south, east, north = box
    if not all(map(math.isfinite, box)) or not -90 <= south < north <= 90:
        raise PipelineError(
            f"the box {' '.join(f'{value:g}' for value in box)} is none; "
            "give west south east north in degrees, south below north"
        )
    lon, lat = group.dataset["lon"].to_numpy(), group.dataset["lat"].to_numpy()
    across = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    return across & (lat >= south) & (lat <= north)


def _require_ids(groups: Sequence[StoreGroup], ids: Sequence[str]) -> None:
    complete = {name for group in groups for name in np.array(group.ids)[group.valid].tolist()}
    known = {name for group in groups for name in group.ids}
    for name in ids:
        if name in known and name not in complete:
            raise PipelineError(
                f"sample {name!r} of {groups[0].store} was rejected and is empty; "
                "the ledger and the index say why"
            )
        if name not in known:
            near = difflib.get_close_matches(name, sorted(complete), n=_NEAREST, cutoff=0.0)
            raise PipelineError(
                f"there is no sample {name!r} in {groups[0].store}; "
                f"nearest ids: {', '.join(near) or 'none, the store is empty'}"
            )


def _require_names(groups: Sequence[StoreGroup], chosen: Sequence[ChosenSample]) -> None:
    """Files are named after ids; two of one name would overwrite each other."""
    counts = Counter((sample.group, sample.id) for sample in chosen)
    for (_, name), count in counts.items():
        if not name or count > 1:
            raise PipelineError(
                f"{count} samples of {groups[0].store} have the id {name!r}, so their files would "
                "overwrite each other; run `python -m pipeline.verify` on the store"
            )


def _require_split(groups: Sequence[StoreGroup], split: str | None) -> None:
    splits = sorted({name for group in groups for name in group.splits if name})
    if split is not None and split not in splits:
        raise PipelineError(
            f"{groups[0].store} has no split {split!r}; it has {', '.join(splits) or 'none'}"
        )
