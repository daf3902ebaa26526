"""Everything the report tells, read from what a build left in its folder.

Tables, statistics and sums are read; pixels are not, but for the few samples of the gallery.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.label_classes import LabelClass, label_classes
from pipeline.osm_landuse.agreement import Verdict
from pipeline.report.acquisitions import Acquisitions, acquisitions
from pipeline.report.agreement import (
    OsmAgreement,
    Persistence,
    SeasonPair,
    class_persistence,
    osm_agreement,
    season_pairs,
)
from pipeline.report.bands import BandComparison, compare_bands
from pipeline.report.counts import (
    ClassDistribution,
    Outcomes,
    count_outcomes,
    outcome_names,
    seasonal_distributions,
    tile_distributions,
)
from pipeline.report.effort import Effort, read_effort
from pipeline.settings.tree import Settings
from pipeline.store.create import read_attributes
from pipeline.store.groups import group_names
from pipeline.verify.findings import Verification, read_verification

STORES = ("nol", "dw", "osm")
"""Stores of a build, in the order in which they are made."""

_INDEX_COLUMNS = (
    *("id", "lon", "lat", "split", "valid", "reason"),
    *("s2_time", "s1_time", "cloud_cover"),
)
_UNITS = {"nol": "locations", "dw": "tiles", "osm": "tiles"}


@dataclass(frozen=True, eq=False)
class Places:
    """Where the candidates of a store lie and what became of them.

    Attributes:
        store: Name of the store.
        ids: Of each candidate.
        lon: Degrees east.
        lat: Degrees north.
        outcomes: ``kept`` or the reason.
        splits: Split of each.
    """

    store: str
    ids: Sequence[str]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    outcomes: Sequence[str]
    splits: Sequence[str]


@dataclass(frozen=True, eq=False)
class StoreContents:
    """What is told of one store.

    Attributes:
        name: ``nol``, ``dw`` or ``osm``.
        path: Its folder.
        attributes: Of its root group.
        places: Candidates.
        outcomes: Counted.
        distributions: Of its classes.
        acquisitions: Of its scenes; None where none is on record.
        verification: What ``verify`` found; None if it was not run.
    """

    name: str
    path: Path
    attributes: Mapping[str, Any]
    places: Places
    outcomes: Outcomes
    distributions: Sequence[ClassDistribution]
    acquisitions: Acquisitions | None
    verification: Verification | None

    @property
    def title(self) -> str:
        """The store's own title, without the mark of simulation, which the page shows itself."""
        return str(self.attributes.get("title", self.name)).removeprefix("SIMULATED ")

    @property
    def simulated(self) -> bool:
        """Whether its pixels come from the simulated Earth."""
        return bool(self.attributes.get("simulated"))


@dataclass(frozen=True, eq=False)
class Contents:
    """What is told of a build.

    Attributes:
        settings: Resolved.
        stores: Those that exist, by name.
        bands: Statistics of ``nol.zarr`` beside the published ones.
        season_pairs: Agreement of Dynamic World between seasons.
        persistence: The same by class id.
        least_agreeing: (agreement, sample) of ``nol.zarr``, the least agreeing first.
        osm: Agreement of OSM land use with the expert labels; None without ``osm.zarr``.
        effort: What it took.
    """

    settings: Settings
    stores: Mapping[str, StoreContents]
    bands: Sequence[BandComparison]
    season_pairs: Sequence[SeasonPair]
    persistence: Mapping[int, Persistence]
    least_agreeing: Sequence[tuple[float, int]]
    osm: OsmAgreement | None
    effort: Effort

    @property
    def simulated(self) -> bool:
        """Whether any of the stores is simulated."""
        return any(store.simulated for store in self.stores.values())


def read_contents(settings: Settings, label_sums: Path) -> Contents:
    """Read what a build left behind.

    Args:
        settings: Resolved; tell the folder.
        label_sums: File of `pipeline.report.label_sums`.

    Raises:
        PipelineError: No store is finished, or a file that belongs to one is missing.
    """
    folder = settings.folder
    sums = _read_json(label_sums)
    names = [name for name in STORES if name in sums and (folder / f"{name}.zarr").is_dir()]
    if not names:
        raise PipelineError(f"{folder} holds no finished store; build one first")
    stores = {name: _read_store(folder, name, sums[name]) for name in names}
    statistics = _read_json(folder / "nol.statistics.json") if "nol" in stores else {}
    seasonal = sums.get("nol", {})
    return Contents(
        settings=settings,
        stores=stores,
        bands=compare_bands(statistics.get("bands", {}).get("train", {}).get("all", {})),
        season_pairs=season_pairs(seasonal.get("seasons", {})),
        persistence=class_persistence(seasonal.get("seasons", {})),
        least_agreeing=[(float(share), int(row)) for share, row in seasonal.get("worst", [])],
        osm=_osm_agreement(folder, settings, sums["osm"]) if "osm" in stores else None,
        effort=read_effort(folder, {name: store.path for name, store in stores.items()}),
    )


def _read_store(folder: Path, name: str, sums: Mapping[str, Any]) -> StoreContents:
    path = folder / f"{name}.zarr"
    places, scenes = _osm_places(folder) if name == "osm" else _indexed_places(folder, name)
    report = folder / "verify" / f"{name}.json"
    return StoreContents(
        name=name,
        path=path,
        attributes=read_attributes(path) or {},
        places=places,
        outcomes=count_outcomes(name, _UNITS[name], places.outcomes, places.splits),
        distributions=_distributions(folder, name, sums),
        acquisitions=scenes,
        verification=read_verification(report) if report.is_file() else None,
    )


def _distributions(folder: Path, name: str, sums: Mapping[str, Any]) -> list[ClassDistribution]:
    legend = store_legend(folder / f"{name}.zarr")
    if name == "nol":
        classes = _read_json(folder / "nol.statistics.json")["classes"]
        return seasonal_distributions(name, classes, legend)
    return tile_distributions(name, sums["classes"], legend)


def store_legend(store: Path) -> tuple[LabelClass, ...]:
    """Classes of a store's label, by the attributes of its array (of the first group)."""
    first = group_names(store, read_attributes(store) or {})[0]
    array = store / first / "label" if first else store / "label"
    return label_classes(read_attributes(array) or {})


def _indexed_places(folder: Path, name: str) -> tuple[Places, Acquisitions | None]:
    index = _read_index(folder / f"{name}.index.parquet")
    return _places(name, index), _scenes(name, index[index["valid"]])


def _osm_places(folder: Path) -> tuple[Places, Acquisitions | None]:
    """Tiles of the table, kept or dropped, at the places and with the scenes of ``dw.zarr``."""
    tiles = pd.read_csv(folder / "osm.tiles.csv", keep_default_na=False)
    tiles["valid"] = tiles["verdict"] == Verdict.KEPT.value
    dw = _read_index(folder / "dw.index.parquet").drop(columns=["split", "valid", "reason"])
    joined = tiles.rename(columns={"verdict": "reason"}).merge(
        dw, left_on="tile_id", right_on="id", how="left", validate="one_to_one"
    )
    joined["id"] = joined["tile_id"]
    return _places("osm", joined), _scenes("osm", joined[joined["valid"]])


def _read_index(path: Path) -> pd.DataFrame:
    """The columns of an index that the report needs.

    Raises:
        PipelineError: It does not exist, or is of an earlier version.
    """
    try:
        return pq.read_table(path, columns=list(_INDEX_COLUMNS)).to_pandas()
    except (FileNotFoundError, pa.ArrowException) as error:
        raise PipelineError(
            f"{path} is not an index of this version ({error}); remake it with "
            "`python -m pipeline.store.sample_index`"
        ) from None


def _places(store: str, table: pd.DataFrame) -> Places:
    return Places(
        store,
        table["id"].astype(str).tolist(),
        table["lon"].to_numpy(np.float64),
        table["lat"].to_numpy(np.float64),
        outcome_names(table["valid"], table["reason"]),
        table["split"].astype(str).tolist(),
    )


def _scenes(store: str, kept: pd.DataFrame) -> Acquisitions | None:
    if kept.empty:
        return None
    s2, s1 = (_times(kept[name]) for name in ("s2_time", "s1_time"))
    cloud = np.stack(kept["cloud_cover"].to_list()).astype(np.float64)
    return acquisitions(store, s2, s1, cloud)


def _times(lists: pd.Series) -> NDArray[Any]:
    """(samples, seasons) moments as UTC without a zone, which is what NumPy knows."""
    table = np.stack(lists.to_list())
    flat = pd.to_datetime(pd.Series(table.ravel()), utc=True).dt.tz_localize(None)
    return flat.to_numpy("datetime64[ms]").reshape(table.shape)


def _osm_agreement(folder: Path, settings: Settings, sums: Mapping[str, Any]) -> OsmAgreement:
    tiles = pd.read_csv(folder / "osm.tiles.csv")
    agreements = tiles["agreement"].to_numpy(np.float64)
    return osm_agreement(agreements, settings.osm_landuse.min_agreement, sums["admitted"])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run `snakemake report`") from None
    except ValueError as error:
        raise PipelineError(f"{path} is damaged ({error}); delete it and run again") from None
    return values
