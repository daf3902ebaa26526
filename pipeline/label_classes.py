"""The classes of a label array as the array itself says them: ids, names and colours.

Stores carry their legend in the CF attributes of the label (``flag_values``, ``flag_meanings``,
``flag_colors``), so that whatever draws or counts labels works for any store, imported ones too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.benchmark_classes import benchmark_classes, flag_attributes
from pipeline.legend import UNLABELLED, load_legend

UNLABELLED_COLOR = "#141414"

_SPARE_COLORS = (
    "#332288",
    "#117733",
    "#88CCEE",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#44AA99",
    "#AA4499",
    "#DDDDDD",
)
"""For legends without colours of their own, told apart by colour-blind readers too.

Source: Paul Tol, Colour schemes, technical note SRON/EPS/TN/09-002, "muted".
"""


@dataclass(frozen=True)
class LabelClass:
    """One class of a label array.

    Attributes:
        id: As stored.
        key: One word, as in ``flag_meanings``.
        name: As printed.
        color: ``#RRGGBB``.
    """

    id: int
    key: str
    name: str
    color: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.color[1:])
        return red, green, blue


def label_classes(attributes: Mapping[str, Any]) -> tuple[LabelClass, ...]:
    """The classes that a label array's attributes tell, in the order of ``flag_values``.

    Args:
        attributes: Of the array; without ``flag_values``, Dynamic World is meant.
    """
    if "flag_values" not in attributes:
        legend = load_legend("dynamic_world")
        return tuple(LabelClass(row.id, row.flag_meaning, row.name, row.color) for row in legend)
    ids = [int(value) for value in np.atleast_1d(attributes["flag_values"])]
    keys = str(attributes["flag_meanings"]).split()
    own = str(attributes.get("flag_colors", "")).split()
    spare = [_SPARE_COLORS[position % len(_SPARE_COLORS)] for position in range(len(ids))]
    colors = own if len(own) == len(ids) else spare
    names = _printed_names()
    return tuple(
        LabelClass(value, key, names.get(key, key.replace("_", " ").capitalize()), color)
        for value, key, color in zip(ids, keys, colors, strict=True)
    )


def class_palette(classes: tuple[LabelClass, ...]) -> NDArray[np.uint8]:
    """(256, 3) red, green, blue by label value; values outside the legend are as unlabelled."""
    unlabelled = tuple(bytes.fromhex(UNLABELLED_COLOR[1:]))
    palette = np.full((256, 3), unlabelled, dtype=np.uint8)
    for row in classes:
        palette[row.id] = row.rgb
    return palette


def label_ids(label: NDArray[Any]) -> NDArray[np.uint8]:
    """Label values as uint8: NaN, which xarray makes of "no label", is 255 again."""
    return np.where(np.isfinite(label), label, UNLABELLED).astype(np.uint8)


def _printed_names() -> dict[str, str]:
    legends = (*load_legend("osm_landuse"), *load_legend("dynamic_world"))
    names = {row.flag_meaning: row.name for row in legends}
    for dataset in ("dfc2020", "eurosat"):
        keys = str(flag_attributes(dataset)["flag_meanings"]).split()
        classes = benchmark_classes(dataset)
        names = dict(zip(keys, (row.name for row in classes), strict=True)) | names
    return names
