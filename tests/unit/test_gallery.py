"""Pictures of samples: colours where they belong."""

import numpy as np
import pandas as pd
import xarray as xr

from pipeline.gallery import (
    backscatter,
    false_colour,
    label_map,
    natural_colour,
    paint_classes,
    sample_gallery,
)
from pipeline.legend import load_legend


def season(reflectance: dict[str, int], vv: float = -10.0, vh: float = -17.0) -> xr.Dataset:
    """A 4 x 6 pixel season of one colour."""
    names = ["B2", "B3", "B4", "B8"]
    bands = np.stack([np.full((4, 6), reflectance.get(name, 0)) for name in names])
    radar = np.stack([np.full((4, 6), vv), np.full((4, 6), vh)])
    return xr.Dataset(
        {
            "s2_10m": (("band_10m", "y", "x"), bands),
            "s1": (("band_s1", "y", "x"), radar),
            "label": (("y", "x"), np.full((4, 6), 6, dtype=np.uint8)),
            "s2_time": ((), pd.Timestamp("2021-06-21T10:00")),
        },
        coords={"band_10m": names, "band_s1": ["VV", "VH"]},
    )


def test_bands_become_the_right_channels():
    red_only = season({"B4": 3000})
    assert natural_colour(red_only)[0, 0].tolist() == [255, 0, 0]
    assert false_colour(red_only)[0, 0].tolist() == [0, 255, 0]
    assert false_colour(season({"B8": 9000}))[0, 0].tolist() == [255, 0, 0]


def test_missing_backscatter_is_black_and_strong_is_bright():
    assert backscatter(season({}, vv=np.nan, vh=np.nan))[0, 0].tolist() == [0, 0, 0]
    assert backscatter(season({}, vv=5.0, vh=0.0))[0, 0].tolist() == [255, 255, 255]


def test_labels_wear_the_colours_of_the_legend():
    built = load_legend("dynamic_world")[6]
    assert label_map(season({}))[0, 0].tolist() == list(built.rgb)
    assert paint_classes(np.array([[255]]), "dynamic_world").max() < 30
    assert paint_classes(np.array([[np.nan]]), "dynamic_world").max() < 30


def test_a_gallery_has_a_column_a_season_and_a_row_a_panel():
    sample = xr.concat([season({"B4": 3000})] * 4, dim="time")
    picture = np.asarray(sample_gallery(sample, "SIMULATED"))
    red = (picture == [255, 0, 0]).all(axis=2)
    assert red.sum() == 4 * 4 * 6
    built = load_legend("dynamic_world")[6]
    assert (picture == list(built.rgb)).all(axis=2).sum() == 4 * 4 * 6
