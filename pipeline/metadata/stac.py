"""A store as a STAC 1.1 collection, its valid samples as items in stac-geoparquet.

The collection's assets are the Zarr groups; the items are one file of rows, so that a quarter of a
million samples make one table and not as many files. All links are relative.

Sources: https://github.com/radiantearth/stac-spec (1.1.0),
https://github.com/stac-utils/stac-geoparquet (format of the items).
"""

from typing import Any

from pipeline.metadata.coverage import Coverage, timestamp
from pipeline.metadata.sources import Source, publications
from pipeline.metadata.stac_bands import cube, group_bands
from pipeline.metadata.store_facts import GroupFacts, StoreFacts

STAC_VERSION = "1.1.0"
ZARR_TYPE = "application/vnd.zarr; version=3"
PARQUET_TYPE = "application/vnd.apache.parquet"
ITEMS_FILE = "items.parquet"
COLLECTION_FILE = "collection.json"
CROISSANT_FILE = "croissant.json"

SAR_PROPERTIES: dict[str, Any] = {
    "sar:instrument_mode": "IW",
    "sar:frequency_band": "C",
    "sar:center_frequency": 5.405,
    "sar:polarizations": ["VV", "VH"],
    "sar:product_type": "GRD",
}
"""Of every Sentinel-1 scene that is selected; frequency: ESA Sentinel-1 user guide, C-SAR."""

_COLLECTION_EXTENSIONS = (
    "projection/v2.0.0",
    "raster/v1.1.0",
    "eo/v1.1.0",
    "sar/v1.0.0",
    "datacube/v2.2.0",
    "scientific/v1.0.0",
    "classification/v2.0.0",
    "processing/v1.0.0",
)


def extension_uris(names: tuple[str, ...]) -> list[str]:
    """The identifiers of extensions such as ``eo/v1.1.0``."""
    return [f"https://stac-extensions.github.io/{name}/schema.json" for name in names]


def stac_collection(
    dataset: str, store: StoreFacts, sources: tuple[Source, ...], coverage: Coverage
) -> dict[str, Any]:
    """The collection of a store.

    Args:
        dataset: Name of the dataset.
        store: Its metadata.
        sources: What it was made from.
        coverage: Of its valid samples.
    """
    single = len(store.groups) == 1
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": extension_uris(_COLLECTION_EXTENSIONS),
        "id": collection_id(dataset, store),
        "title": store.title,
        "description": describe(store, coverage),
        "keywords": keywords(store),
        "license": collection_licence(sources),
        "providers": _providers(store),
        "extent": _extent(coverage),
        "summaries": _summaries(store, coverage),
        "sci:citation": "; ".join(source.citation for source in sources),
        "sci:publications": publications(sources),
        **(cube(store.groups[0], coverage) if single else {}),
        "links": _links(store, sources),
        "assets": _assets(store, coverage),
    }


def collection_id(dataset: str, store: StoreFacts) -> str:
    """Name of the collection, unique among the stores of a dataset."""
    return f"{dataset}-{store.kind}"


def store_href(store: StoreFacts) -> str:
    """The store as seen from the folder of its metadata, ``metadata/<store>/``."""
    return f"../../{store.path.name}"


def collection_licence(sources: tuple[Source, ...]) -> str:
    """SPDX identifier if all sources share one, else ``other``, explained by links."""
    identifiers = {source.spdx for source in sources}
    return identifiers.pop() if len(identifiers) == 1 and "" not in identifiers else "other"


def keywords(store: StoreFacts) -> list[str]:
    """Words to find it by."""
    words = ["sentinel-1", "sentinel-2", "land cover", "segmentation", "noisy labels", "zarr"]
    return [*(["simulated"] if store.simulated else []), *words]


def describe(store: StoreFacts, coverage: Coverage) -> str:
    """A paragraph: what it is, how much, from where."""
    samples = f"{coverage.valid:,} complete samples of {coverage.candidates:,}"
    warning = "SIMULATED DATA, no observation of the Earth. " if store.simulated else ""
    title = store.title.removeprefix("SIMULATED ")
    return f"{warning}{title}. {samples}. Source: {store.attributes['source']}."


def _providers(store: StoreFacts) -> list[dict[str, Any]]:
    processor = {
        "name": "NoLDO",
        "roles": ["processor"],
        "processing:lineage": str(store.attributes["source"]),
        "processing:software": {"noldo": str(store.attributes["code_version"])},
    }
    if store.simulated:
        return [{**processor, "roles": ["producer", "processor"]}]
    agency = {
        "name": "European Union, Copernicus programme; ESA",
        "roles": ["producer", "licensor"],
        "url": "https://www.copernicus.eu",
        "processing:level": "L1C",
    }
    return [agency, processor]


def _extent(coverage: Coverage) -> dict[str, Any]:
    box = coverage.box or (-180.0, -90.0, 180.0, 90.0)
    interval = [timestamp(coverage.first), timestamp(coverage.last)]
    return {"spatial": {"bbox": [list(box)]}, "temporal": {"interval": [interval]}}


def _summaries(store: StoreFacts, coverage: Coverage) -> dict[str, Any]:
    summaries: dict[str, Any] = {
        "gsd": [10],
        "constellation": ["sentinel-2", *(["sentinel-1"] if "s1" in store.pixel_arrays else [])],
        "instruments": ["msi", *(["c-sar"] if "s1" in store.pixel_arrays else [])],
        "proj:code": [f"EPSG:{code}" for code in sorted(coverage.epsg) if code],
        "noldo:split": sorted(coverage.splits),
        "noldo:simulated": [store.simulated],
        "noldo:dataset_hash": [store.attributes["dataset_hash"]],
    }
    if "s1" in store.pixel_arrays:
        summaries |= {name: _listed(value) for name, value in SAR_PROPERTIES.items()}
    if coverage.cloud:
        summaries["eo:cloud_cover"] = dict(zip(("minimum", "maximum"), coverage.cloud, strict=True))
    return {name: value for name, value in summaries.items() if value != []}


def _links(store: StoreFacts, sources: tuple[Source, ...]) -> list[dict[str, str]]:
    links = [
        {"rel": "root", "href": f"./{COLLECTION_FILE}", "type": "application/json"},
        {"rel": "items", "href": f"./{ITEMS_FILE}", "type": PARQUET_TYPE},
        {"rel": "describedby", "href": "../../README.md", "type": "text/markdown"},
    ]
    licences = {source.licence_url: source.data for source in sources if source.licence_url}
    links += [
        {"rel": "license", "href": url, "title": f"Terms of {data}"}
        for url, data in licences.items()
    ]
    dois = [work["doi"] for work in publications(sources)]
    return links + [{"rel": "cite-as", "href": f"https://doi.org/{doi}"} for doi in dois]


def _assets(store: StoreFacts, coverage: Coverage) -> dict[str, Any]:
    assets: dict[str, Any] = {
        group.name or "zarr": _group_asset(store, group, coverage) for group in store.groups
    }
    assets["index"] = {
        "href": f"../../{store.kind}.index.parquet",
        "type": PARQUET_TYPE,
        "title": "One row per sample with everything but pixels (GeoParquet)",
        "roles": ["metadata"],
    }
    assets["items"] = {
        "href": f"./{ITEMS_FILE}",
        "type": PARQUET_TYPE,
        "title": "The items of this collection (stac-geoparquet)",
        "roles": ["stac-items"],
    }
    assets["croissant"] = {
        "href": f"./{CROISSANT_FILE}",
        "type": "application/ld+json",
        "title": "The same store in Croissant, with the GeoCroissant extension",
        "roles": ["metadata"],
    }
    return assets


def _group_asset(store: StoreFacts, group: GroupFacts, coverage: Coverage) -> dict[str, Any]:
    return {
        "href": "/".join(filter(None, [store_href(store), group.name])),
        "type": ZARR_TYPE,
        "title": str(group.attributes["title"]),
        "description": str(group.attributes.get("comment", "")),
        "roles": ["data"],
        **group_bands(store, group),
        **cube(group, coverage),
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
