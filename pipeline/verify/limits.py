"""What counts as wrong: the limits of ``limits.csv``, each with its reason."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Limits:
    """The limits of all checks; unit and reason of each stand in ``limits.csv``."""

    shift_pixels_scene: float
    shift_gain_scene: float
    shift_gain_coarse_scene: float
    shift_correlation_scene: float
    shift_edge_scene: float
    shift_edge_coarse_scene: float
    cloud_share_scene: float
    cloud_blue: float
    cloud_short_wave: float
    shift_t_store: float
    shift_samples_store: float
    ground_within_scene: float
    ground_between_scene: float
    ground_t_store: float
    ground_scenes_store: float
    spectra_gain_scene: float
    spectra_ratio_scene: float
    spectra_distance_scene: float
    spectra_gain_store: float
    spectra_share_store: float
    spectra_scenes_store: float
    radar_order_share: float
    reflectance_largest: float
    reflectance_share: float
    backscatter_smallest: float
    backscatter_largest: float
    backscatter_share: float
    kind_pixels_scene: float
    kind_pixels_store: float
    agreement_difference: float
    admitted_share_store: float
    exchange_gain_store: float
    place_distance_m: float
    published_deviations: float
    published_spread_ratio: float
    statistics_tolerance: float


@cache
def load_limits() -> Limits:
    """The limits of ``limits.csv``.

    Raises:
        TypeError: The table lacks a limit, or has one that no check knows.
    """
    table = files("pipeline.verify").joinpath("limits.csv").read_text(encoding="utf-8")
    return Limits(**{row["name"]: float(row["value"]) for row in csv.DictReader(table.split("\n"))})
