"""Bands, classes and axes of a store in STAC's terms.

Sources: STAC 1.1 common metadata (``bands``), and the extensions eo 1.1, raster 1.1, classification
2.0 and datacube 2.2, https://stac-extensions.github.io/.
"""

from typing import Any

from pipeline.metadata.coverage import Coverage, timestamp
from pipeline.metadata.store_facts import ArrayFacts, GroupFacts, StoreFacts

_COMMON_NAMES = {
    "B1": "coastal",
    "B2": "blue",
    "B3": "green",
    "B4": "red",
    "B5": "rededge",
    "B6": "rededge",
    "B7": "rededge",
    "B8": "nir",
    "B8A": "nir08",
    "B9": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
"""Sentinel-2 in https://github.com/stac-extensions/eo#common-band-names."""

_NANOMETRES_PER_MICROMETRE = 1000.0


def group_bands(store: StoreFacts, group: GroupFacts) -> dict[str, list[dict[str, Any]]]:
    """The bands of all arrays of pixels of a group, three times in the same order.

    Returns:
        ``bands`` of STAC 1.1 itself, ``raster:bands`` and ``eo:bands``.
    """
    found: dict[str, list[dict[str, Any]]] = {"bands": [], "raster:bands": [], "eo:bands": []}
    for array in group.pixels:
        for band in group.bands(array.name) or [{"name": array.name}]:
            raster = _raster(store, array, band)
            found["raster:bands"].append(raster)
            found["bands"].append(_common(array, band, raster))
            found["eo:bands"].append(_optical(array, band))
    return found


def classes_of(array: ArrayFacts) -> list[dict[str, Any]]:
    """Classes of an array of labels by its CF flags; empty if it has none."""
    attributes = array.attributes
    if "flag_values" not in attributes:
        return []
    names = str(attributes["flag_meanings"]).split()
    colours = str(attributes.get("flag_colors", "")).split() or [""] * len(names)
    classes: list[dict[str, Any]] = []
    for value, name, colour in zip(attributes["flag_values"], names, colours, strict=True):
        one = {"value": value, "name": name, "description": name.replace("_", " ")}
        classes.append(one | ({"color_hint": colour.lstrip("#")} if colour else {}))
    nodata = {"value": array.nodata, "name": "no_label", "nodata": True}
    return [*classes, nodata]


def cube(group: GroupFacts, coverage: Coverage) -> dict[str, Any]:
    """``cube:dimensions`` and ``cube:variables`` of a group."""
    dimensions: dict[str, Any] = {}
    variables: dict[str, Any] = {}
    for array in [*group.pixels, *group.records]:
        for name, length in zip(array.dimensions, array.shape, strict=True):
            dimensions.setdefault(name, _dimension(name, length, group, coverage))
        variables[array.name] = _variable(array)
    return {"cube:dimensions": dimensions, "cube:variables": variables}


def _dimension(name: str, length: int, group: GroupFacts, coverage: Coverage) -> dict[str, Any]:
    if name == "sample" and coverage.box is not None:
        return {
            "type": "geometry",
            "axes": ["x", "y"],
            "bbox": list(coverage.box),
            "geometry_types": ["Polygon", "MultiPolygon"],
            "description": f"{length} samples; footprints are in the index",
        }
    if name == "time":
        extent = [timestamp(coverage.first), timestamp(coverage.last)]
        return {"type": "temporal", "extent": extent, "description": "season, 0 to 3"}
    if name.startswith("band_"):
        arrays = (array for array in group.pixels if name in array.dimensions)
        names = [band["name"] for array in arrays for band in group.bands(array.name)]
        return {"type": "bands", "values": names}
    described = {"type": "index", "extent": [0, length - 1]}
    if name in group.arrays:
        # offsets from the sample's own corner, which lies in the sample's own CRS
        text = group.arrays[name].long_name
        return {"type": "pixel", "extent": [0, length - 1], "description": text}
    return described


def _variable(array: ArrayFacts) -> dict[str, Any]:
    kind = "data" if array.is_pixels else "auxiliary"
    notes = [array.long_name, array.attributes.get("comment")]
    variable = {
        "dimensions": list(array.dimensions),
        "variable_type": kind,
        "description": "; ".join(str(note) for note in notes if note),
    }
    units = array.attributes.get("units")
    return variable | ({"unit": str(units)} if units else {})


def _raster(store: StoreFacts, array: ArrayFacts, band: dict[str, Any]) -> dict[str, Any]:
    raster: dict[str, Any] = {"data_type": array.dtype, "nodata": array.nodata}
    if "resolution_m" in band:
        raster["spatial_resolution"] = band["resolution_m"]
    if "units" in array.attributes:
        scale = array.attributes.get("scale_factor", 1.0)
        raster |= {"unit": str(array.attributes["units"]), "scale": scale}
    if statistics := _statistics(store, str(band["name"])):
        raster["statistics"] = statistics
    if classes := classes_of(array):
        raster["classification:classes"] = classes
    return raster


def _statistics(store: StoreFacts, band: str) -> dict[str, float]:
    """Of the training split in all seasons, as the store has them."""
    measured = store.attributes.get("statistics", {}).get("bands", {})
    figures = measured.get("train", {}).get("all", {}).get(band, {})
    names = {"mean": "mean", "std": "stddev", "min": "minimum", "max": "maximum"}
    return {theirs: figures[ours] for ours, theirs in names.items() if ours in figures}


def _common(array: ArrayFacts, band: dict[str, Any], raster: dict[str, Any]) -> dict[str, Any]:
    kept = {name: raster[name] for name in ("data_type", "nodata", "unit") if name in raster}
    notes = [array.long_name, array.attributes.get("comment"), band.get("source")]
    text = "; ".join(str(note) for note in notes if note)
    return {"name": band["name"], "description": f"{array.name}: {text}"} | kept


def _optical(array: ArrayFacts, band: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": band["name"], "description": array.long_name}
    if band["name"] not in _COMMON_NAMES:
        return described
    described["common_name"] = _COMMON_NAMES[band["name"]]
    described["center_wavelength"] = band["wavelength_nm"] / _NANOMETRES_PER_MICROMETRE
    described["full_width_half_max"] = band["bandwidth_nm"] / _NANOMETRES_PER_MICROMETRE
    return described
