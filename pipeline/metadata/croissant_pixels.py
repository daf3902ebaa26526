"""The pixels of a store in Croissant: files, shape, type, bands and classes of each array.

No Croissant reader decodes Zarr; what it needs to know to open the store with Zarr stands in the
descriptions, and the meaning of class ids in record sets of their own, which every reader loads.
"""

from typing import Any

from pipeline.label_classes import label_classes
from pipeline.metadata.stac import store_href
from pipeline.metadata.store_facts import ArrayFacts, GroupFacts, StoreFacts

INTEGERS = {
    "int8": "cr:Int8",
    "int16": "cr:Int16",
    "int32": "cr:Int32",
    "int64": "cr:Int64",
    "uint8": "cr:UInt8",
    "uint16": "cr:UInt16",
}


def shard_file_sets(store: StoreFacts) -> list[dict[str, Any]]:
    """The files of every array of pixels."""
    return [_shards(store, group, array) for group in store.groups for array in group.pixels]


def _shards(store: StoreFacts, group: GroupFacts, array: ArrayFacts) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _shards_id(group, array),
        "name": _shards_id(group, array),
        "description": f"Shards of the Zarr array {array.name}: {array.long_name}.",
        "encodingFormat": "application/vnd.zarr",
        "includes": "/".join(filter(None, [store_href(store), group.name, array.name, "c/**"])),
    }


def _shards_id(group: GroupFacts, array: ArrayFacts) -> str:
    return "-".join(filter(None, ["shards", group.name, array.name]))


def class_record_sets(store: StoreFacts) -> list[dict[str, Any]]:
    """What the ids of each array of labels mean: one record per class."""
    return [
        {
            "@type": "cr:RecordSet",
            "@id": _classes_id(array),
            "name": _classes_id(array),
            "description": f"Classes of `{name}`: {array.long_name}. {array.nodata} is no label.",
            "dataType": "sc:Enumeration",
            "key": {"@id": f"{_classes_id(array)}/value"},
            "field": [
                field(f"{_classes_id(array)}/value", "cr:UInt8", "Value of the pixels."),
                field(f"{_classes_id(array)}/name", "sc:Text", "Name of the class."),
                field(f"{_classes_id(array)}/color", "sc:Text", "Colour on maps, #RRGGBB."),
            ],
            "data": [
                {
                    f"{_classes_id(array)}/value": row.id,
                    f"{_classes_id(array)}/name": row.name,
                    f"{_classes_id(array)}/color": row.color,
                }
                for row in label_classes(array.attributes)
            ],
        }
        for name, (_, array) in store.pixel_arrays.items()
        if "flag_values" in array.attributes
    ]


def _classes_id(array: ArrayFacts) -> str:
    return f"classes-{array.name}"


def pixel_record_sets(store: StoreFacts) -> list[dict[str, Any]]:
    """One record set per array: Croissant wants those of several files joined by a column."""
    return [
        {
            "@type": "cr:RecordSet",
            "@id": _pixels_id(group, array),
            "name": _pixels_id(group, array),
            "description": _how_to_read(store, group, array),
            "field": [_array(group, array)],
        }
        for group in store.groups
        for array in group.pixels
    ]


def _how_to_read(store: StoreFacts, group: GroupFacts, array: ArrayFacts) -> str:
    where = f", group='{group.name}'" if group.name else ""
    return (
        f"{array.long_name}: one record per sample; record k is index k along the first axis, and "
        "row k of its group in the record set `samples`. Croissant readers list the files but "
        "decode no Zarr; from the folder of this document: "
        f"xarray.open_zarr('{store_href(store)}'{where})['{array.name}'][k]."
    )


def _pixels_id(group: GroupFacts, array: ArrayFacts) -> str:
    return "-".join(filter(None, ["pixels", group.name, array.name]))


def _array(group: GroupFacts, array: ArrayFacts) -> dict[str, Any]:
    identifier = f"{_pixels_id(group, array)}/{array.name}"
    text = array_description(array)
    described = field(identifier, INTEGERS.get(array.dtype, "sc:Float"), text)
    described["source"] = {
        "fileSet": {"@id": _shards_id(group, array)},
        "extract": {"fileProperty": "content"},
    }
    described |= {"isArray": True, "arrayShape": ",".join(map(str, array.shape[1:]))}
    if bands := group.bands(array.name):
        described["geocr:bandConfiguration"] = band_configuration([b["name"] for b in bands])
        described["geocr:spectralBandMetadata"] = [spectral_band(band) for band in bands]
    return described


def array_description(array: ArrayFacts) -> str:
    """What the numbers of an array of pixels are: axes, unit, scale, no data, classes."""
    parts = [array.long_name, f"axes {', '.join(array.dimensions[1:])}", f"no data {array.nodata}"]
    attributes = array.attributes
    if units := attributes.get("units"):
        scale = attributes.get("scale_factor", 1)
        parts.append(f"unit {units}" if scale == 1 else f"stored value x {scale:g} is in {units}")
    if comment := attributes.get("comment"):
        parts.append(str(comment))
    if "flag_values" in attributes:
        parts.append(f"classes in the record set {_classes_id(array)}")
    if "time" in array.dimensions:
        parts.append("time counts the seasons 0 to 3, whose dates are s2_time and s1_time")
    return "; ".join(parts)


def field(identifier: str, data_type: str, description: str) -> dict[str, Any]:
    """A field of a record set; its name is the last part of the identifier."""
    return {
        "@type": "cr:Field",
        "@id": identifier,
        "name": identifier.split("/", 1)[1],
        "description": description,
        "dataType": data_type,
    }


def band_configuration(names: list[str]) -> dict[str, Any]:
    """Number and names of bands, as GeoCroissant has them."""
    return {
        "@type": "geocr:BandConfiguration",
        "geocr:totalBands": len(names),
        "geocr:bandNamesList": names,
    }


def spectral_band(band: dict[str, Any]) -> dict[str, Any]:
    """A row of a band table in GeoCroissant's terms; wavelengths in nanometres."""
    described = {
        "@type": "geocr:SpectralBand",
        "name": band["name"],
        "description": f"{band['resolution_m']} m; {band['source']}",
        "geocr:centerWavelength": quantity(band["wavelength_nm"], "nm"),
    }
    if band.get("bandwidth_nm") is not None:
        described["geocr:bandwidth"] = quantity(band["bandwidth_nm"], "nm")
    return described


def quantity(value: float, unit: str) -> dict[str, Any]:
    """A number with its unit."""
    return {"@type": "sc:QuantitativeValue", "value": value, "unitText": unit}
