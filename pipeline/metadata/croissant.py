"""A store as a Croissant 1.1 dataset with the GeoCroissant 1.0 extension.

Record sets: the splits, one row per sample (from the index, which any Croissant reader can load),
and each array of pixels, described by shape, type and bands; their bytes are read with Zarr.

Sources: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html,
https://github.com/mlcommons/croissant/blob/main/docs/croissant-geo-spec.md and its vocabulary
``croissant_geo.ttl``. Where the two name the list of bands differently, the vocabulary's
``bandNamesList`` is used.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.fingerprints import file_sha256
from pipeline.metadata.coverage import Coverage
from pipeline.metadata.croissant_pixels import (
    INTEGERS,
    band_configuration,
    class_record_sets,
    field,
    pixel_record_sets,
    quantity,
    shard_file_sets,
    spectral_band,
)
from pipeline.metadata.sources import Source, bibtex_entries
from pipeline.metadata.stac import collection_id, describe, keywords, store_href
from pipeline.metadata.store_facts import StoreFacts
from pipeline.store.metadata import ROOT_DOCUMENT
from pipeline.store.sample_index import COLUMN_DESCRIPTIONS

CONFORMS_TO = [
    "http://mlcommons.org/croissant/1.1",
    "http://mlcommons.org/croissant/geo/1.0",
    "http://mlcommons.org/croissant/RAI/1.0",
]

_SPLIT_KINDS = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}

_TERMS = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet "
    "references regex repeated replace samplingRate separator source subField transform"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "geocr": "http://mlcommons.org/croissant/geo/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}


def croissant_document(
    dataset: str, store: StoreFacts, sources: tuple[Source, ...], coverage: Coverage, index: Path
) -> dict[str, Any]:
    """The JSON-LD document of a store.

    Args:
        dataset: Name of the dataset.
        store: Its metadata.
        sources: What it was made from.
        coverage: Of its valid samples.
        index: Its index; the columns and the checksum are taken from it.
    """
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": collection_id(dataset, store),
        "description": describe(store, coverage),
        "keywords": keywords(store),
        "version": str(store.attributes["version"]),
        "datePublished": _day_of(index),
        "creator": {"@type": "sc:Organization", "name": "NoLDO"},
        "license": list(dict.fromkeys(source.licence_url for source in sources)),
        "citeAs": "\n\n".join(bibtex_entries(sources)),
        "creditText": "; ".join(source.attribution for source in sources),
        **_geography(store, coverage),
        **_responsibility(store),
        "distribution": _distribution(store, index),
        "recordSet": [
            _splits(coverage),
            *class_record_sets(store),
            _samples(store, index),
            *pixel_record_sets(store),
        ],
    }


def _day_of(file: Path) -> str:
    """The day a file was written, UTC."""
    return dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC).date().isoformat()


def _geography(store: StoreFacts, coverage: Coverage) -> dict[str, Any]:
    """What GeoCroissant adds to a dataset."""
    named = [(array, group.bands(name)) for name, (group, array) in store.pixel_arrays.items()]
    bands = {band["name"]: band for _, table in named for band in table}
    found: dict[str, Any] = {
        "geocr:coordinateReferenceSystem": ", ".join(
            f"EPSG:{code}" for code in sorted(coverage.epsg) if code
        )
        or "unknown",
        "geocr:spatialResolution": quantity(10, "m"),
        "geocr:bandConfiguration": band_configuration(list(bands)),
        "geocr:spectralBandMetadata": [spectral_band(band) for band in bands.values()],
        "geocr:samplingStrategy": _sampling(store),
    }
    if coverage.box:
        west, south, east, north = coverage.box
        shape = {"@type": "sc:GeoShape", "box": f"{south} {west} {north} {east}"}
        found["spatialCoverage"] = {"@type": "sc:Place", "geo": shape}
    if coverage.first and coverage.last:
        found["temporalCoverage"] = f"{coverage.first.date()}/{coverage.last.date()}"
    return found


def _responsibility(store: StoreFacts) -> dict[str, Any]:
    limits = "Labels are noisy on purpose: they come from a model or from volunteers."
    if store.simulated:
        limits = "The pixels are SIMULATED: a made-up planet, no observation. " + limits
    return {
        "rai:dataCollection": str(store.attributes["source"]),
        "rai:dataLimitations": limits,
        "rai:personalSensitiveInformation": "None: pixels of 10 m and larger.",
        "rai:hasSyntheticData": store.simulated,
    }


def _sampling(store: StoreFacts) -> str:
    places = store.attributes.get("settings", {}).get("locations")
    if places is None:
        return "the tiles of the source"
    return f"sampler {places['sampler']}; no two patches overlap"


def _distribution(store: StoreFacts, index: Path) -> list[dict[str, Any]]:
    files = [
        {
            "@type": "cr:FileObject",
            "@id": "index",
            "name": index.name,
            "description": "One row per sample with everything but pixels (GeoParquet).",
            "contentUrl": f"../../{index.name}",
            "contentSize": f"{index.stat().st_size} B",
            "encodingFormat": "application/x-parquet",
            "sha256": file_sha256(index),
        },
        {
            "@type": "cr:FileObject",
            "@id": "zarr-metadata",
            "name": ROOT_DOCUMENT,
            "description": "Metadata of the whole Zarr v3 store.",
            "contentUrl": f"{store_href(store)}/{ROOT_DOCUMENT}",
            "contentSize": f"{(store.path / ROOT_DOCUMENT).stat().st_size} B",
            "encodingFormat": "application/json",
            "sha256": file_sha256(store.path / ROOT_DOCUMENT),
        },
    ]
    return [*files, *shard_file_sets(store)]


def _splits(coverage: Coverage) -> dict[str, Any]:
    rows = [
        {"splits/name": name, "splits/url": _SPLIT_KINDS.get(name, "cr:Split")}
        for name in sorted(coverage.splits or _SPLIT_KINDS)
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "; ".join(f"{name}: {n} samples" for name, n in coverage.splits.items())
        or "no valid sample",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            field("splits/name", "sc:Text", "Name of the split."),
            field("splits/url", "sc:URL", "What kind of split it is."),
        ],
        "data": rows,
    }


def _samples(store: StoreFacts, index: Path) -> dict[str, Any]:
    schema = pq.read_schema(index)
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": "One record per sample; those that are not `valid` have no pixels.",
        "key": [{"@id": "samples/group"}, {"@id": "samples/sample"}],
        "field": [_column(store, schema.field(name)) for name in schema.names],
    }


def _column(store: StoreFacts, column: pa.Field) -> dict[str, Any]:
    kind, listed = column.type, pa.types.is_list(column.type)
    described = field(
        f"samples/{column.name}",
        _data_type(kind.value_type if listed else kind),
        column_description(store, column.name),
    )
    described["source"] = {"fileObject": {"@id": "index"}, "extract": {"column": column.name}}
    if listed:
        described |= {"isArray": True, "arrayShape": "4" if store.seasonal else "1"}
    if column.name == "split":
        described["references"] = {"field": {"@id": "splits/name"}}
    return described


def column_description(store: StoreFacts, name: str) -> str:
    """What a column of the index holds, in words."""
    records = {array.name: array for group in store.groups for array in group.records}
    if name in COLUMN_DESCRIPTIONS:
        return COLUMN_DESCRIPTIONS[name]
    if name in records:
        return records[name].long_name
    if name.startswith("pixels_"):
        return f"pixels of class {name.removeprefix('pixels_')}, all seasons together"
    if name.startswith("date_"):
        return f"middle of the window of season {name.removeprefix('date_')}"
    return name.replace("_", " ")


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return INTEGERS.get(str(kind), "sc:Integer")
    if pa.types.is_floating(kind):
        return "cr:Float32" if pa.types.is_float32(kind) else "cr:Float64"
    if pa.types.is_date(kind):
        return "sc:Date"
    return "sc:DateTime" if pa.types.is_timestamp(kind) else "sc:Text"
