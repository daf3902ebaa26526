"""The manifest of a folder of real scenes: which files are which image of which collection.

``scenes.json``::

    {"scenes": [{
      "collection": "COPERNICUS/S2_HARMONIZED",
      "index": "20230610T080611_20230610T080611_T36MXB",
      "file": "tanzania/S2L1C.tif",
      "bands": ["B1", "B2", "..."],
      "time": "2023-06-10T08:06:11Z",
      "nodata": 0,
      "properties": {"CLOUDY_PIXEL_PERCENTAGE": 1.5, "MGRS_TILE": "36MXB"}
    }]}

``file`` is a GeoTIFF with one or more bands, a folder with one GeoTIFF per band named after it, or
an object ``{band: file}``. ``bands`` names the bands of a single file; without it they are the
file's band descriptions, ``B01`` to ``B09`` written ``B1`` to ``B9`` as in Earth Engine. ``nodata``
is needed only where the file does not declare it. Paths are relative to the folder.

``scenes.csv`` has the same columns, the bands separated by spaces, and every further column is a
property, read as JSON where it is JSON.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.simulator.refusal import EarthEngineError
from pipeline.simulator.values import Date

MANIFESTS = ("scenes.json", "scenes.csv")

_KEYS = {"collection", "index", "file", "bands", "time", "nodata", "properties"}
_NEEDED_KEYS = ("collection", "index", "file", "time")
_COLLECTION_ID = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_INDEX = re.compile(r"[A-Za-z0-9_-]+")
_PADDED_BAND = re.compile(r"B0(\d)")
_SUFFIXES = (".tif", ".tiff")

NEEDED_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "COPERNICUS/S2": ("CLOUDY_PIXEL_PERCENTAGE", "MGRS_TILE"),
    "COPERNICUS/S2_HARMONIZED": ("CLOUDY_PIXEL_PERCENTAGE", "MGRS_TILE"),
    "COPERNICUS/S1_GRD": ("instrumentMode", "transmitterReceiverPolarisation"),
}
"""Properties without which the selection would pass a scene over in silence."""


@dataclass(frozen=True)
class ManifestEntry:
    """One scene as the manifest describes it.

    Attributes:
        where: Manifest and number of the entry, for messages.
        collection: Id of its collection.
        index: Its ``system:index``.
        files: GeoTIFFs; by band name, or one file of several bands under the empty name.
        bands: Names of the bands of that one file, or None for its descriptions.
        nodata: Value of pixels without data, or None for what the files declare.
        properties: Earth Engine properties, ``system:time_start`` among them.
    """

    where: str
    collection: str
    index: str
    files: dict[str, Path]
    bands: tuple[str, ...] | None = None
    nodata: float | None = None
    properties: dict[str, Any] = field(default_factory=dict)


def read_manifest(folder: Path) -> list[ManifestEntry]:
    """Read and check the manifest of a folder.

    Raises:
        PipelineError: There is none, or an entry is not as described above.
    """
    found = [folder / name for name in MANIFESTS if (folder / name).is_file()]
    if not found:
        raise PipelineError(f"{folder} has no manifest; describe its scenes in {MANIFESTS[0]}")
    manifest = found[0]
    try:
        raw = _read_json(manifest) if manifest.suffix == ".json" else list(_read_csv(manifest))
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise PipelineError(f"{manifest} cannot be read: {error}") from None
    if not raw:
        raise PipelineError(f"{manifest} describes no scene")
    entries = [_parse_entry(e, f"{manifest}, scene {n}", folder) for n, e in enumerate(raw, 1)]
    seen: set[str] = set()
    for entry in entries:
        asset_id = f"{entry.collection}/{entry.index}"
        if asset_id in seen:
            raise PipelineError(
                f"{entry.where}: '{asset_id}' is there twice; give it another index"
            )
        seen.add(asset_id)
    return entries


def earth_engine_band(name: str) -> str:
    """A band's name in Earth Engine's spelling: ``B01`` becomes ``B1``, ``B8A`` stays."""
    match = _PADDED_BAND.fullmatch(name)
    return f"B{match[1]}" if match else name


def _read_json(manifest: Path) -> list[Any]:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("scenes"), list):
        raise PipelineError(f'{manifest} must be an object with a list "scenes"')
    scenes: list[Any] = content["scenes"]
    return scenes


def _read_csv(manifest: Path) -> Iterator[dict[str, Any]]:
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            filled = {key: text for key, text in row.items() if key and text not in (None, "")}
            entry: dict[str, Any] = {key: filled[key] for key in _KEYS & filled.keys()}
            entry["properties"] = {
                key: _json_or_text(text) for key, text in filled.items() if key not in _KEYS
            }
            if "bands" in entry:
                entry["bands"] = entry["bands"].split()
            yield entry


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _parse_entry(raw: Any, where: str, folder: Path) -> ManifestEntry:
    if not isinstance(raw, dict):
        raise PipelineError(f"{where}: {raw!r} is no description of a scene")
    if unknown := sorted(raw.keys() - _KEYS):
        raise PipelineError(f"{where}: unknown key {unknown}; known keys: {sorted(_KEYS)}")
    if missing := [key for key in _NEEDED_KEYS if not raw.get(key)]:
        raise PipelineError(f"{where}: no {' and no '.join(missing)}")
    collection, index = str(raw["collection"]), str(raw["index"])
    if not _COLLECTION_ID.fullmatch(collection) or not _INDEX.fullmatch(index):
        raise PipelineError(
            f"{where}: '{collection}/{index}' is no asset id; "
            "use letters, digits, '_' and '-', and '/' in the collection"
        )
    return ManifestEntry(
        where,
        collection,
        index,
        _files(raw["file"], where, folder),
        _band_names(raw.get("bands"), where),
        _nodata(raw.get("nodata"), where),
        _properties(raw, collection, where),
    )


def _files(given: Any, where: str, folder: Path) -> dict[str, Path]:
    """The scene's GeoTIFFs by band name; all of them within the folder."""
    if isinstance(given, dict) and given:
        return {str(band): _file(str(name), where, folder) for band, name in given.items()}
    if not isinstance(given, str):
        raise PipelineError(f"{where}: file {given!r} is neither a path nor an object of paths")
    path = _inside(given, where, folder)
    if not path.is_dir():
        return {"": _file(given, where, folder)}
    files = {
        earth_engine_band(file.stem): file
        for file in sorted(path.iterdir())
        if file.suffix.lower() in _SUFFIXES
    }
    if not files:
        raise PipelineError(f"{where}: the folder {path} has no GeoTIFF (*.tif)")
    return files


def _file(name: str, where: str, folder: Path) -> Path:
    path = _inside(name, where, folder)
    if not path.is_file():
        raise PipelineError(f"{where}: there is no file {path}")
    return path


def _inside(name: str, where: str, folder: Path) -> Path:
    """A path below the folder; links that lie in it are followed."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise PipelineError(f"{where}: the file '{name}' lies outside the folder {folder}")
    return folder / path


def _band_names(given: Any, where: str) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(name, str) and name for name in given):
        raise PipelineError(f"{where}: bands {given!r} is no list of names")
    if len(set(given)) != len(given):
        raise PipelineError(f"{where}: a band is named twice in {given}")
    return tuple(given)


def _nodata(given: Any, where: str) -> float | None:
    try:
        return None if given is None else float(given)
    except (TypeError, ValueError):
        raise PipelineError(f"{where}: nodata {given!r} is no number") from None


def _properties(raw: Mapping[str, Any], collection: str, where: str) -> dict[str, Any]:
    given = raw.get("properties", {})
    if not isinstance(given, dict):
        raise PipelineError(f"{where}: properties {given!r} is no object")
    missing = [name for name in NEEDED_PROPERTIES.get(collection, ()) if name not in given]
    if missing:
        raise PipelineError(
            f"{where}: a scene of {collection} needs the properties {' and '.join(missing)}"
        )
    return {**given, "system:time_start": _time_ms(raw["time"], where)}


def _time_ms(given: Any, where: str) -> int:
    try:
        return Date.from_datetime(datetime.fromisoformat(given)).millis
    except (TypeError, ValueError, EarthEngineError):
        raise PipelineError(
            f"{where}: time {given!r}; write it like 2023-06-10T08:06:11Z"
        ) from None
