"""Everything a user can choose: typed, with unit and meaning, every mistake reported at once.

Defaults live here and nowhere else. ``python -m pipeline.settings_reference`` writes the two files
derived from them: ``workflow/config/default.yaml`` (every key once) and ``schema.yaml``
(JSON schema).
"""

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.dynamic_world.settings import DynamicWorldSettings
from pipeline.errors import PipelineError
from pipeline.importers.settings import ImporterSettings
from pipeline.osm_landuse.settings import OsmLanduseSettings
from pipeline.settings_evaluate import EvaluateSettings
from pipeline.settings_pretrain import PretrainSettings
from pipeline.settings_section import Section

SEASONS = 4


class GridSettings(Section):
    """The pixel grid of one sample."""

    pixels: int = Field(
        264,
        ge=6,
        le=2640,
        multiple_of=6,
        description=(
            "Rows and columns of a patch at 10 m; a multiple of 6, so that 60 m pixels nest"
        ),
    )


class LocationSettings(Section):
    """Where the samples lie."""

    sampler: Literal["cities", "land", "area", "points", "ssl4eo"] = Field(
        "cities",
        description=(
            "cities: Gaussian around large cities; land: uniform over land; area: uniform"
            " in an area of interest; points: a table of yours; ssl4eo: the SSL4EO-S12 "
            "v1.1 list"
        ),
    )
    count: int | None = Field(
        32,
        ge=1,
        le=5_000_000,
        description="How many candidates to draw; for points and ssl4eo null takes the whole table",
    )
    area: str | None = Field(
        None,
        description="sampler area: a GeoJSON or GeoPackage file, or WKT, in longitude and latitude",
    )
    table: Path | None = Field(
        None,
        description=(
            "samplers points and ssl4eo: a CSV or GeoParquet file with lon and lat (and "
            "optionally location_id, epsg, split, date_0 to date_3; left and top, in metres of "
            "epsg, fix the patch's corner)"
        ),
    )
    city_count: int = Field(
        10_000,
        ge=1,
        le=10_000,
        description="sampler cities: how many of the largest cities to draw around",
    )
    city_spread_km: float = Field(
        50.0,
        gt=0,
        le=500,
        description=(
            "sampler cities: standard deviation of the distance to the city centre in "
            "each direction, km"
        ),
    )
    validation_share: float = Field(
        0.01, ge=0, lt=1, description="Share of the locations whose split is `validation`"
    )


class SeasonSettings(Section):
    """When the scenes were taken (SSL4EO-S12: four dates, shifted by up to a year)."""

    reference_dates: Annotated[
        tuple[dt.date, ...], Field(min_length=SEASONS, max_length=SEASONS)
    ] = Field(
        (dt.date(2020, 12, 21), dt.date(2021, 3, 20), dt.date(2021, 6, 21), dt.date(2021, 9, 22)),
        description="Four ascending dates, one a season",
    )
    shift_days: int = Field(
        365,
        ge=0,
        le=3650,
        description=(
            "All four dates of a location move back together by a random number of days below this"
        ),
    )
    half_window_days: int = Field(
        15, ge=1, le=45, description="Scenes are searched this many days before and after the date"
    )

    @model_validator(mode="after")
    def _dates_ascend(self) -> Self:
        if list(self.reference_dates) != sorted(set(self.reference_dates)):
            dates = ", ".join(map(str, self.reference_dates))
            raise ValueError(f"reference_dates must ascend, got {dates}")
        return self


class SelectionSettings(Section):
    """Which scenes of a season are taken."""

    rule: Literal["paper", "dw_first"] = Field(
        "dw_first",
        description=(
            "paper: the newest clear Sentinel-2 scene, then its Dynamic World twin; "
            "dw_first: the newest clear scene that has a twin (keeps about twice as many "
            "locations)"
        ),
    )
    cloud_cover_max: float = Field(
        20.0, gt=0, le=100, description="Scenes with this cloud cover or more are left out, percent"
    )


class QualitySettings(Section):
    """Which fetched pixels are good enough."""

    nodata_share_max: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Largest share of pixels without data in Sentinel-2 or Sentinel-1",
    )
    label_share_min: float = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "Smallest share of pixels with a Dynamic World label in each season; 0 keeps seasons"
            " under local cloud, as SSL4EO-S12 and NoLDO-S12 do, and wastes no request"
        ),
    )
    s1_floor_db: float = Field(
        -35.0, description="Backscatter below this is implausible (border noise), dB"
    )
    s1_ceiling_db: float = Field(30.0, description="Backscatter above this is implausible, dB")
    s1_implausible_share_max: float = Field(
        0.02, ge=0, le=1, description="Largest share of implausible Sentinel-1 pixels"
    )


class EarthEngineSettings(Section):
    """Access to Earth Engine, real or simulated. None of this changes a pixel."""

    service: str = Field(
        "simulated",
        description=(
            "google: the real service; simulated: the simulated Earth on this machine; or"
            " the URL of a running simulator on loopback"
        ),
    )
    project: str | None = Field(
        None, description="Google Cloud project that requests are billed to; needed for google"
    )
    credentials: Path | None = Field(
        None,
        description=(
            "Key file of a service account; null: the user's own or application-default credentials"
        ),
    )
    slots: int = Field(
        40,
        ge=1,
        le=400,
        description="Pixel requests in flight on the high-volume endpoint, all jobs together",
    )
    selection_slots: int = Field(
        8,
        ge=1,
        le=40,
        description="Selection requests in flight on the standard endpoint, all jobs together",
    )
    selection_batch: int = Field(
        25,
        ge=1,
        le=250,
        description="Locations in one selection request; halved on time-outs and memory errors",
    )
    request_timeout_s: float = Field(
        300.0, gt=0, description="Longest time one request may take, seconds"
    )
    attempts: int = Field(
        8, ge=1, le=50, description="Attempts at one request before it counts as failed"
    )
    patience_s: float = Field(
        900.0, gt=0, description="Longest time spent on the attempts at one request, seconds"
    )
    request_budget: int | None = Field(
        None, ge=1, description="Stop cleanly after this many requests; null: no limit"
    )
    eecu_budget_hours: float | None = Field(
        None,
        gt=0,
        description="Stop cleanly after this much estimated compute, EECU-hours; null: no limit",
    )
    eecu_seconds_per_request: float = Field(
        1.0,
        gt=0,
        description=(
            "Compute that one pixel request costs, EECU-seconds; measure it on your first"
            " hundred locations (Cloud Monitoring, workload tag noldo-pixels)"
        ),
    )


class SimulatorSettings(Section):
    """The simulated Earth behind `earthengine.service: simulated`."""

    seed: int = Field(7, ge=0, description="Another seed is another planet")
    scenes: Path | None = Field(
        None, description="Folder of real GeoTIFF scenes to mount into the archive"
    )
    faults: Path | None = Field(
        None, description="Plan of injected faults (JSON), for tests and rehearsals"
    )
    latency_s: float = Field(0.0, ge=0, description="Extra time every answer takes, seconds")


class PlanSettings(Section):
    """What `plan` assumes about the service; better after the first hundred locations."""

    kept_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description=(
            "Share of the candidates that will be kept; null: counted in what has been selected"
            " so far, else 0.41 for the rule paper and 0.86 for dw_first"
        ),
    )
    pixel_latency_s: float = Field(2.0, gt=0, description="Time one pixel request takes, seconds")
    selection_latency_s: float = Field(
        5.0, gt=0, description="Time one selection request takes, seconds"
    )


class StoreSettings(Section):
    """How the Zarr stores are cut."""

    shard_size: int = Field(
        64,
        ge=1,
        le=1024,
        description="Locations per shard: the unit of a job, of a write and of resuming",
    )


class Settings(Section):
    """One dataset, from its places to its table of results."""

    name: str = Field(
        "dataset",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Name of the dataset; everything is made under results/<name>",
    )
    results: Path = Field(Path("results"), description="Folder that holds the datasets")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of every random draw")
    grid: GridSettings = GridSettings()
    locations: LocationSettings = LocationSettings()
    seasons: SeasonSettings = SeasonSettings()
    selection: SelectionSettings = SelectionSettings()
    quality: QualitySettings = QualitySettings()
    earthengine: EarthEngineSettings = EarthEngineSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    store: StoreSettings = StoreSettings()
    dynamic_world: DynamicWorldSettings = DynamicWorldSettings()
    osm_landuse: OsmLanduseSettings = OsmLanduseSettings()
    importers: ImporterSettings = ImporterSettings()
    plan: PlanSettings = PlanSettings()
    pretrain: PretrainSettings = PretrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @property
    def folder(self) -> Path:
        """Where this dataset is made: ``results/<name>``."""
        return self.results / self.name

    @property
    def simulated(self) -> bool:
        """Whether pixels come from the simulated Earth."""
        return self.earthengine.service != "google"

    def defining(self) -> dict[str, Any]:
        """The part of the settings that decides the bytes of ``nol.zarr``, as plain JSON values.

        Left out are the number of locations (more may be asked for later), the name and folder,
        and how the service is reached.
        """
        dump = self.model_dump(mode="json")
        kept = {
            key: dump[key] for key in ("seed", "grid", "seasons", "selection", "quality", "store")
        }
        kept["locations"] = {k: v for k, v in dump["locations"].items() if k != "count"}
        kept["source"] = self._source()
        return kept

    def dw_defining(self) -> dict[str, Any]:
        """The part of the settings that decides the bytes of ``dw.zarr``, as plain JSON values."""
        return {
            "seed": self.seed,
            "dynamic_world": self.dynamic_world.defining(),
            "source": self._source(),
        }

    def osm_defining(self) -> dict[str, Any]:
        """The part of the settings that decides the bytes of ``osm.zarr``, as plain JSON values."""
        return self.dw_defining() | {"osm_landuse": self.osm_landuse.defining()}

    def dataset_hash(self) -> str:
        """SHA-256 over `defining`, 16 hexadecimal digits: stores of equal hash may be mixed."""
        return short_hash(self.defining())

    def _source(self) -> dict[str, Any] | str:
        if not self.simulated:
            return "google"
        world = self.simulator.model_dump(mode="json", include={"seed", "scenes"})
        return {"simulated": world}


def short_hash(values: Any) -> str:
    """SHA-256 over plain JSON values, whatever their order; 16 hexadecimal digits."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def validate_settings(values: dict[str, Any]) -> Settings:
    """Check plain values, as read from YAML, and fill in the defaults.

    Raises:
        PipelineError: One line naming every mistake: key path, value, what is allowed.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        mistakes = "; ".join(_describe(mistake) for mistake in error.errors())
        raise PipelineError(f"settings: {mistakes}") from None


def load_settings(path: Path) -> Settings:
    """Read a YAML file of settings.

    Raises:
        PipelineError: The file is missing, is not YAML, or holds a mistake.
    """
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        raise PipelineError(f"settings file {path} does not exist") from None
    except yaml.YAMLError as error:
        raise PipelineError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise PipelineError(f"{path} must hold keys and values, got a {type(values).__name__}")
    return validate_settings(values)


def _describe(mistake: Any) -> str:
    path = ".".join(str(part) for part in mistake["loc"]) or "(top level)"
    if mistake["type"] == "extra_forbidden":
        return f"{path} is not a known key; see workflow/config/default.yaml"
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{path} = {mistake['input']!r}: {message[0].lower()}{message[1:]}"
