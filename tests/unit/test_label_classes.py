"""A label's own attributes tell its classes."""

import numpy as np

from pipeline.importers.benchmark_classes import flag_attributes
from pipeline.label_classes import class_palette, label_classes, label_ids
from pipeline.legend import load_legend
from pipeline.store.tile_layout import label_array


def test_classes_of_our_labels_are_those_of_the_legend():
    for legend in ("dynamic_world", "osm_landuse"):
        rows = label_classes(label_array("label", legend, "label").attributes)
        assert [(row.id, row.name, row.rgb) for row in rows] == [
            (row.id, row.name, row.rgb) for row in load_legend(legend)
        ]


def test_without_attributes_dynamic_world_is_meant():
    assert [row.name for row in label_classes({})][6] == "Built"


def test_imported_labels_get_names_and_different_colours():
    rows = label_classes(flag_attributes("dfc2020"))
    assert rows[6].name == "Urban and built-up"
    assert len({row.color for row in rows}) == len(rows) == 8


def test_values_outside_the_legend_are_painted_as_unlabelled():
    palette = class_palette(label_classes({}))
    assert palette[77].tolist() == palette[255].tolist()
    assert palette[0].tolist() == list(load_legend("dynamic_world")[0].rgb)


def test_nan_is_no_label():
    assert label_ids(np.array([np.nan, 3.0])).tolist() == [255, 3]
