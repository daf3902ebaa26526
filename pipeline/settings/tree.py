"""Everything a user can choose: typed, with unit and meaning, every mistake reported at once.

Defaults live here and nowhere else. ``python -m pipeline.settings.reference`` writes the two files
derived from them: ``workflow/config/default.yaml`` (every key once) and ``schema.yaml``
(JSON schema).
"""

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from pipeline.errors import PipelineError
from pipeline.settings.dask import DaskSettings
from pipeline.settings.dataset import (
    GridSettings,
    LocationSettings,
    QualitySettings,
    SeasonSettings,
    SelectionSettings,
    StoreSettings,
)
from pipeline.settings.dynamic_world import DynamicWorldSettings
from pipeline.settings.evaluate import EvaluateSettings
from pipeline.settings.importers import ImporterSettings
from pipeline.settings.osm_landuse import OsmLanduseSettings
from pipeline.settings.pretrain import PretrainSettings
from pipeline.settings.section import Section
from pipeline.settings.services import EarthEngineSettings, PlanSettings, SimulatorSettings

_PLAIN_PATH = re.compile(r"[\w./~+@%=:,-]+")


class Settings(Section):
    """One dataset, from its places to its table of results."""

    name: str = Field(
        "dataset",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="Name of the dataset; everything is made under results/<name>",
    )
    results: Path = Field(Path("results"), description="Folder that holds the datasets")
    publish: str | None = Field(
        None,
        pattern=r"^(s3|gs|az|file)://[^@?#]+$",
        description=(
            "Object storage that finished shards and stores are copied to, under the dataset's"
            " name, such as s3://bucket/prefix; endpoint and credentials stand in the environment"
            " (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...); null: nowhere"
        ),
    )
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
    dask: DaskSettings = DaskSettings()
    pretrain: PretrainSettings = PretrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @field_validator("results")
    @classmethod
    def _is_plain_to_shells(cls, results: Path) -> Path:
        if not _PLAIN_PATH.fullmatch(results.as_posix()):
            raise ValueError(
                "has characters that shells take apart (blanks, quotes, ...); choose another "
                "folder, or a link to it"
            )
        return results

    @property
    def folder(self) -> Path:
        """Where this dataset is made: ``results/<name>``."""
        return self.results / self.name

    @property
    def published_folder(self) -> str | None:
        """Where this dataset is copied to: ``s3://bucket/prefix/<name>``."""
        return self.publish and f"{self.publish.rstrip('/')}/{self.name}"

    @property
    def simulated(self) -> bool:
        """Whether pixels come from the simulated Earth."""
        return self.earthengine.service != "google"

    def defining(self) -> dict[str, Any]:
        """The part of the settings that decides the bytes of ``nol.zarr``, as plain JSON values.

        Left out are the number of locations (more may be asked for later), which of them are not
        to be had, the name and folder, and how the service is reached.
        """
        dump = self.model_dump(mode="json")
        kept = {
            key: dump[key] for key in ("seed", "grid", "seasons", "selection", "quality", "store")
        }
        changeable = "count", "leave_out"
        kept["locations"] = {k: v for k, v in dump["locations"].items() if k not in changeable}
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
    except OSError as error:
        raise PipelineError(f"settings file {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise PipelineError(f"{path} must hold keys and values, got a {type(values).__name__}")
    return validate_settings(values)


def _describe(mistake: Any) -> str:
    path = ".".join(str(part) for part in mistake["loc"]) or "(top level)"
    if mistake["type"] == "extra_forbidden":
        return (
            f"{path} is not a known key{_nearest(mistake['loc'])}; see workflow/config/default.yaml"
        )
    message = mistake["msg"].removeprefix("Value error, ")
    # A mistake between keys is one of their whole section, which would hide it in its own length.
    value = "" if isinstance(mistake["input"], dict) else f" = {mistake['input']!r}"
    return f"{path}{value}: {message[0].lower()}{message[1:]}"


def _nearest(place: Sequence[str | int]) -> str:
    """The known key beside a mistyped one that looks most like it, as a question."""
    table: Any = Settings().model_dump()
    for part in place[:-1]:
        table = table.get(part, {}) if isinstance(table, dict) else {}
    known = table if isinstance(table, dict) else {}
    found = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f" (did you mean {found[0]}?)" if found else ""
