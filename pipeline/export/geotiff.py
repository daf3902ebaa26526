"""Samples as GeoTIFFs for QGIS: ``python -m pipeline.export geotiff``.

A folder per sample; in it one file per array and season, such as ``0000012_t0_s1.tif``. A file that
is there is complete, so an interrupted export goes on where it stopped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pipeline
from pipeline.export.choice import ChosenSample
from pipeline.export.class_style import write_class_style
from pipeline.export.cog import Raster, decoded, write_cog
from pipeline.export.output_folder import claimed_folder
from pipeline.export.parallel import map_with_progress
from pipeline.export.store_group import S2_CUBE, StoreGroup, open_groups
from pipeline.legend import UNLABELLED
from pipeline.season_pixels import S1_NODATA, S2_NODATA
from pipeline.store.object_path import StorePath

S2Form = Literal["cube", "native"]

S1_STEP_DB = 0.01
"""dB in one stored step (`pipeline.store.layout`)."""

REFLECTANCE_STEP = 1e-4
"""Reflectance in one stored step."""


@dataclass(frozen=True)
class GeotiffExport:
    """What to write where.

    Attributes:
        store: Folder of the store.
        output: Folder of the export.
        s2: "cube": all 13 bands on the 10 m grid in one file; "native": one file per resolution.
    """

    store: StorePath
    output: Path
    s2: S2Form = "cube"


def export_geotiffs(
    export: GeotiffExport,
    groups: Sequence[StoreGroup],
    chosen: Sequence[ChosenSample],
    workers: int = 1,
) -> int:
    """Write the files of all chosen samples that are not there yet.

    Args:
        export: What to write where.
        groups: Of the store.
        chosen: Which samples.
        workers: Processes.

    Returns:
        The number of files written.

    Raises:
        PipelineError: The folder holds another export, or a file of the store is damaged.
    """
    with claimed_folder(export.output, groups[0], {"export": "geotiff", "s2": export.s2}):
        return sum(map_with_progress(partial(_SampleWriter, export), chosen, workers, "GeoTIFF"))


def export_sample(export: GeotiffExport, group: StoreGroup, chosen: ChosenSample) -> int:
    """Write the files of one sample that are not there yet; how many that were."""
    written = 0
    stem = chosen.stem
    folder = export.output / chosen.group / stem
    for season in range(group.seasons):
        prefix = f"{stem}_t{season}" if group.seasonal else stem
        for array in _arrays(group, export.s2):
            path = folder / f"{prefix}_{array}.tif"
            if path.exists():
                continue
            raster = _raster(group, chosen.sample, season, array)
            if raster.classes:
                # The map comes last: where it is, its style is.
                write_class_style(path, raster.classes)
            write_cog(path, raster)
            written += 1
    return written


class _SampleWriter:
    """Writes one sample after another from a store that is opened once."""

    def __init__(self, export: GeotiffExport) -> None:
        self._groups = {group.name: group for group in open_groups(export.store)}
        self._export = export

    def __call__(self, chosen: ChosenSample) -> int:
        """Write the files of a sample; how many that were."""
        return export_sample(self._export, self._groups[chosen.group], chosen)


def _arrays(group: StoreGroup, s2: S2Form) -> Iterator[str]:
    for array in group.pixel_arrays:
        if s2 == "native" or array not in group.s2_arrays:
            yield array
    if s2 == "cube" and set(group.s2_arrays) <= set(group.pixel_arrays):
        yield S2_CUBE


def _raster(group: StoreGroup, sample: int, season: int, array: str) -> Raster:
    """One file: an array of the store, or the cube made of the native ones."""
    common: dict[str, Any] = {
        "crs": f"EPSG:{group.epsg(sample)}",
        "tags": _tags(group, sample, season, array),
    }
    if array == S2_CUBE:
        values, bands = group.read_cube(sample, season), group.cube_names
        common |= {"nodata": S2_NODATA, "scale": REFLECTANCE_STEP}
        return Raster(values, bands, transform=group.transform(sample), **common)
    values, bands = group.read(array, sample, season), group.band_names(array)
    common["transform"] = group.transform(sample, array)
    if array in group.s2_arrays:
        return Raster(values, bands, nodata=S2_NODATA, scale=REFLECTANCE_STEP, **common)
    if array == "s1":
        in_db = decoded(values, S1_STEP_DB, S1_NODATA)
        return Raster(in_db, bands, nodata=float("nan"), unit="dB", **common)
    classes = group.classes(array)
    return Raster(values[None], (array,), nodata=UNLABELLED, classes=classes, **common)


def _tags(group: StoreGroup, sample: int, season: int, array: str) -> dict[str, str]:
    """What a file says about itself once it has left its folder."""
    facts, about = group.facts(sample), group.attributes
    tags = {
        "SAMPLE": str(facts["id"]),
        "STORE": str(about.get("title", "")),
        "DATASET_HASH": str(about.get("dataset_hash", "")),
        "SOURCE": str(about.get("source", "")),
        "LICENCES": "; ".join(about.get("licences", ())),
        "SIMULATED": "yes, no observation" if group.simulated else "no",
        "CONTENT": _content(group, array),
        "CODE_VERSION": str(about.get("code_version", "")),
        "TIFFTAG_SOFTWARE": f"noldo {pipeline.__version__}",
    }
    if scene_class := group.scene_class(sample):
        tags["SCENE_CLASS"] = scene_class
    for name in ("s1_id", "s2_id", "dw_id"):
        if scene := _of_season(facts.get(name), season):
            tags[name.upper()] = scene
    time = _of_season(facts.get("s1_time" if array == "s1" else "s2_time"), season)
    if time:
        tags["TIFFTAG_DATETIME"] = time.replace("-", ":").replace("T", " ").removesuffix("Z")
    return tags


def _content(group: StoreGroup, array: str) -> str:
    if array in group.pixel_arrays:
        return str(group.dataset[array].attrs.get("long_name", array))
    return "Sentinel-2 reflectance on the 10 m grid; 20 m and 60 m pixels are repeated"


def _of_season(value: Any, season: int) -> str:
    one = value[season] if isinstance(value, list) else value
    return "" if one is None else str(one)
