"""What ``nol.zarr`` says about itself: the attributes of its group."""

import csv
from importlib.resources import files
from typing import Any

import pipeline
from pipeline.provenance import code_version
from pipeline.sensors import bands_of
from pipeline.settings import Settings
from pipeline.store.layout import (
    NATIVE_LAYOUT,
    PIXEL_ARRAYS,
    RECORD_ARRAYS,
    VALID,
    PixelArray,
)


def group_attributes(settings: Settings) -> dict[str, Any]:
    """What the store says about itself."""
    table = files("pipeline.store").joinpath("attribution.csv").read_text(encoding="utf-8")
    sources = list(csv.DictReader(table.splitlines()))
    coordinates = [array.name for array in (*RECORD_ARRAYS, VALID)]
    return {
        "Conventions": "CF-1.11",
        "layout": NATIVE_LAYOUT,
        "title": _title(settings),
        "version": pipeline.__version__,
        "code_version": code_version(),
        "source": _source(settings),
        "simulated": settings.simulated,
        "licences": [f"{row['data']}: {row['licence']}" for row in sources],
        "citation": [f"{row['citation']}, {row['url']}" for row in sources],
        "dataset_hash": settings.dataset_hash(),
        "settings": settings.defining(),
        "comment": (
            "Sample k lies on EPSG:epsg[k]; a pixel centre has easting left[k] + x and northing "
            "top[k] + y. Samples whose `valid` is false are empty."
        ),
        "coordinates": " ".join(coordinates),
        "bands": {array.name: _band_table(array) for array in PIXEL_ARRAYS if array.band_dimension},
    }


def _title(settings: Settings) -> str:
    title = "Sentinel-1, Sentinel-2 and Dynamic World labels in four seasons"
    return f"SIMULATED {title}" if settings.simulated else title


def _source(settings: Settings) -> str:
    if not settings.simulated:
        return "google: COPERNICUS/S2_HARMONIZED, COPERNICUS/S1_GRD, GOOGLE/DYNAMICWORLD/V1"
    scenes = " and mounted scenes" if settings.simulator.scenes else ""
    return f"simulated: simulated Earth, seed {settings.simulator.seed}{scenes}; no observation"


def _band_table(array: PixelArray) -> list[dict[str, Any]]:
    return [
        {
            "name": band.name,
            "wavelength_nm": band.wavelength_nm,
            "bandwidth_nm": band.bandwidth_nm,
            "resolution_m": band.resolution_m,
            "source": band.source,
        }
        for band in bands_of(array.name)
    ]
