"""What the stores say about themselves: the attributes of their groups."""

import csv
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pipeline
from pipeline.fingerprints import code_version
from pipeline.sensors import Band, bands_of
from pipeline.settings.tree import Settings
from pipeline.store.layout import NATIVE_LAYOUT, PIXEL_ARRAYS, RECORD_ARRAYS, VALID

_NOL_TITLE = "Sentinel-1, Sentinel-2 and Dynamic World labels in four seasons"


def group_attributes(settings: Settings) -> dict[str, Any]:
    """What ``nol.zarr`` says about itself."""
    coordinates = [array.name for array in (*RECORD_ARRAYS, VALID)]
    return common_attributes("nol", NATIVE_LAYOUT) | {
        "title": titled(_NOL_TITLE, settings),
        "source": imagery_source(settings, "GOOGLE/DYNAMICWORLD/V1"),
        "simulated": settings.simulated,
        "dataset_hash": settings.dataset_hash(),
        "settings": settings.defining(),
        "comment": (
            "Sample k lies on EPSG:epsg[k]; a pixel centre has easting left[k] + x and northing "
            "top[k] + y. Samples whose `valid` is false are empty."
        ),
        "coordinates": " ".join(coordinates),
        "bands": {
            array.name: band_table(bands_of(array.name))
            for array in PIXEL_ARRAYS
            if array.band_dimension
        },
    }


def common_attributes(store: str, layout: str) -> dict[str, Any]:
    """Conventions, versions, licences and citations: what every group says.

    Args:
        store: Which rows of ``attribution.csv`` apply: ``nol``, ``dw`` or ``osm``.
        layout: Form of the store, starting with ``noldo-``.
    """
    table = files("pipeline.store").joinpath("attribution.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines())
    sources = [row for row in rows if store in row["stores"].split()]
    return {
        "Conventions": "CF-1.11",
        "layout": layout,
        "version": pipeline.__version__,
        "code_version": code_version(),
        "licences": [f"{row['data']}: {row['licence']}" for row in sources],
        "citation": [f"{row['citation']}, {row['url']}" for row in sources],
    }


def titled(title: str, settings: Settings) -> str:
    """A title that says so if the pixels are no observation."""
    return f"SIMULATED {title}" if settings.simulated else title


def imagery_source(settings: Settings, *collections: str) -> str:
    """Where pixels come from: the archive and its collections, or the simulated Earth."""
    if not settings.simulated:
        return ", ".join(("google: COPERNICUS/S2_HARMONIZED", "COPERNICUS/S1_GRD", *collections))
    scenes = " and mounted scenes" if settings.simulator.scenes else ""
    return f"simulated: simulated Earth, seed {settings.simulator.seed}{scenes}; no observation"


def band_table(bands: Sequence[Band]) -> list[dict[str, Any]]:
    """Bands as a group attribute."""
    return [
        {
            "name": band.name,
            "wavelength_nm": band.wavelength_nm,
            "bandwidth_nm": band.bandwidth_nm,
            "resolution_m": band.resolution_m,
            "source": band.source,
        }
        for band in bands
    ]
