"""What lies in ``nol.zarr``: arrays, dimensions, chunks, shards, codecs, nodata, attributes.

One inner chunk is one (sample, season) with all bands; labels keep the four seasons of a sample in
one chunk, because the smoothing prior needs them together. One shard holds `shard_size` samples,
all seasons, and is one file, written by one job. Arrays of one value per sample (or per sample and
season) have chunks of a fixed length, so that a growing dataset changes shapes and nothing else.
Every chunk carries a checksum, so that no reader takes a flipped bit for data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.legend import UNLABELLED, load_legend
from pipeline.season_pixels import LABEL_NODATA, S1_NODATA, S2_NODATA
from pipeline.sensors import bands_of
from pipeline.settings.dataset import SEASONS

NATIVE_LAYOUT = "noldo-native-1"
"""Group attribute ``layout`` of this form; every store of ours has one that starts ``noldo-``."""

RECORDS_PER_CHUNK = 65_536
"""Samples in one chunk of the arrays without pixels: under 1 MB decoded, 4 chunks at 250,000."""

NO_TIME = -(2**63)
"""Fill value of the time arrays; decoded as NaT."""

BLOSC_SHUFFLE: dict[str, Any] = {
    "name": "blosc",
    "configuration": {
        "cname": "lz4hc",
        "clevel": 7,
        "shuffle": "shuffle",
        "typesize": 2,
        "blocksize": 0,
    },
}
"""For 16-bit pixels: three times as quick to decode as zstd at the same shuffle, for 9 % more bytes
(docs/codecs.md). Higher levels save 1 % and take more than twice as long to write. The chunks of
Blosc say themselves how they were made, so that a store may hold some of an older codec."""

ZSTD: dict[str, Any] = {"name": "zstd", "configuration": {"level": 15, "checksum": False}}
"""For 8-bit labels, which a shuffle would make larger; higher levels also decode faster."""

CRC32C: dict[str, Any] = {"name": "crc32c"}
"""Last codec of every chunk of pixels: four bytes, the CRC-32C of what the compressor made.
Source: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/index.html"""

RECORD_ZSTD: dict[str, Any] = {"name": "zstd", "configuration": {"level": 0, "checksum": True}}
"""For everything without pixels: frames of zstd with the checksum of their content. It also tells
that every chunk has its file, written as the array is made; stores of earlier versions have neither
(`pipeline.store.chunk_files`)."""


Codecs = tuple[dict[str, Any], ...]
"""What the bytes of a chunk pass through, in this order: compressor, checksum."""

IMAGERY_CODECS: Codecs = (BLOSC_SHUFFLE, CRC32C)
LABEL_CODECS: Codecs = (ZSTD, CRC32C)


@dataclass(frozen=True)
class PixelArray:
    """One sharded array of pixels.

    Attributes:
        name: In the store; also the attribute of `SeasonPixels` that holds one season of it.
        pixel_size: Metres.
        dtype: As stored.
        nodata: As stored; also Zarr's fill value.
        band_dimension: Name of the band axis, empty if there is none.
        seasons_per_chunk: 1, or all four.
        codecs: Of the inner chunks, behind ``bytes``, as in Zarr's metadata.
        attributes: CF attributes.
    """

    name: str
    pixel_size: int
    dtype: str
    nodata: int
    band_dimension: str
    seasons_per_chunk: int
    codecs: Codecs
    attributes: dict[str, Any]

    @property
    def band_names(self) -> list[str]:
        """Names along the band axis, empty if there is none."""
        return [band.name for band in bands_of(self.name)] if self.band_dimension else []

    @property
    def dimensions(self) -> list[str]:
        """Names of the axes."""
        suffix = "" if self.pixel_size == 10 else f"_{self.pixel_size}m"
        bands = [self.band_dimension] if self.band_dimension else []
        return ["sample", "time", *bands, f"y{suffix}", f"x{suffix}"]

    def season_shape(self, patch_pixels: int) -> tuple[int, ...]:
        """Shape of one season of one sample on a patch of so many 10 m pixels."""
        size = patch_pixels * 10 // self.pixel_size
        bands = (len(self.band_names),) if self.band_dimension else ()
        return (*bands, size, size)

    def chunk_shape(self, patch_pixels: int) -> tuple[int, ...]:
        """Shape of an inner chunk."""
        return (1, self.seasons_per_chunk, *self.season_shape(patch_pixels))

    def shard_key(self, shard: int | str) -> str:
        """Path of a shard's file below the store: Zarr's own chunk key."""
        return f"{self.name}/c/{shard}" + "/0" * (len(self.dimensions) - 1)


def holds_pixels(dimensions: Sequence[str]) -> bool:
    """Whether an array of a store has more axes than a record: pixels, in shards or not."""
    return dimensions[0] == "sample" and not set(dimensions) <= {"sample", "time"}


@dataclass(frozen=True)
class RecordArray:
    """One value per sample, or per sample and season.

    Attributes:
        name: In the store.
        dtype: Of zarr; ``string`` is text of any length.
        fill: Value of samples without one.
        seasonal: Whether there is a time axis.
        attributes: CF attributes.
    """

    name: str
    dtype: str
    fill: Any
    seasonal: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def dimensions(self) -> list[str]:
        """Names of the axes."""
        return ["sample", "time"] if self.seasonal else ["sample"]

    def empty(self, count: int) -> NDArray[Any]:
        """The values of so many samples that have none yet, to be filled and written."""
        dtype: Any = object if self.dtype == "string" else self.dtype
        return np.full((count, SEASONS) if self.seasonal else (count,), self.fill, dtype)


def _reflectance(name: str, pixel_size: int) -> PixelArray:
    return PixelArray(
        name=name,
        pixel_size=pixel_size,
        dtype="uint16",
        nodata=S2_NODATA,
        band_dimension=f"band_{pixel_size}m",
        seasons_per_chunk=1,
        codecs=IMAGERY_CODECS,
        attributes={
            "long_name": f"Sentinel-2 L1C top-of-atmosphere reflectance, {pixel_size} m bands",
            "units": "1e-4",
            "comment": "reflectance x 10000, harmonised to processing baseline 02; 0 is no data",
        },
    )


def _label_attributes() -> dict[str, Any]:
    classes = load_legend("dynamic_world")
    return {
        "long_name": "Dynamic World land-cover class of the Sentinel-2 scene",
        "flag_values": [row.id for row in classes],
        "flag_meanings": " ".join(row.flag_meaning for row in classes),
        "flag_colors": " ".join(row.color for row in classes),
        "_FillValue": UNLABELLED,
    }


PIXEL_ARRAYS: tuple[PixelArray, ...] = (
    _reflectance("s2_10m", 10),
    _reflectance("s2_20m", 20),
    _reflectance("s2_60m", 60),
    PixelArray(
        name="s1",
        pixel_size=10,
        dtype="int16",
        nodata=S1_NODATA,
        band_dimension="band_s1",
        seasons_per_chunk=1,
        codecs=IMAGERY_CODECS,
        attributes={
            "long_name": "Sentinel-1 GRD IW backscatter coefficient (sigma nought)",
            "units": "dB",
            "scale_factor": 0.01,
            "_FillValue": S1_NODATA,
        },
    ),
    PixelArray(
        name="label",
        pixel_size=10,
        dtype="uint8",
        nodata=LABEL_NODATA,
        band_dimension="",
        seasons_per_chunk=SEASONS,
        codecs=LABEL_CODECS,
        attributes=_label_attributes(),
    ),
)

_MILLISECONDS = {
    "units": "milliseconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
    "_FillValue": NO_TIME,
}

RECORD_ARRAYS: tuple[RecordArray, ...] = (
    RecordArray("id", "string", "", attributes={"long_name": "location id"}),
    RecordArray(
        "lon", "float64", np.nan, False, {"standard_name": "longitude", "units": "degrees_east"}
    ),
    RecordArray(
        "lat", "float64", np.nan, False, {"standard_name": "latitude", "units": "degrees_north"}
    ),
    RecordArray("epsg", "int32", 0, attributes={"long_name": "EPSG code of the sample's grid"}),
    RecordArray(
        "left", "float64", np.nan, False, {"long_name": "easting of the left edge", "units": "m"}
    ),
    RecordArray(
        "top", "float64", np.nan, False, {"long_name": "northing of the upper edge", "units": "m"}
    ),
    RecordArray("split", "string", "", attributes={"long_name": "train or validation"}),
    RecordArray("s2_id", "string", "", True, {"long_name": "Sentinel-2 system:index"}),
    RecordArray("s1_id", "string", "", True, {"long_name": "Sentinel-1 system:index"}),
    RecordArray("dw_id", "string", "", True, {"long_name": "Dynamic World system:index"}),
    RecordArray(
        "s2_time", "int64", NO_TIME, True, {"long_name": "Sentinel-2 sensing start"} | _MILLISECONDS
    ),
    RecordArray(
        "s1_time", "int64", NO_TIME, True, {"long_name": "Sentinel-1 sensing start"} | _MILLISECONDS
    ),
    RecordArray(
        "cloud_cover",
        "float32",
        np.nan,
        True,
        {"long_name": "cloud cover of the Sentinel-2 scene", "units": "percent"},
    ),
    RecordArray("mgrs_tile", "string", "", True, {"long_name": "Sentinel-2 tile"}),
    RecordArray(
        "processing_baseline", "string", "", True, {"long_name": "of the Sentinel-2 scene"}
    ),
    RecordArray("s1_orbit_pass", "string", "", True, {"long_name": "ASCENDING or DESCENDING"}),
    RecordArray("s1_relative_orbit", "int16", 0, True, {"long_name": "Sentinel-1 relative orbit"}),
)

VALID = RecordArray(
    "valid",
    "bool",
    False,
    attributes={"long_name": "all four seasons are present; other samples are empty"},
)
"""Written last of all: a sample counts once it says so."""


def shard_files(store_path: Path, shard: int | str) -> list[Path]:
    """The files that hold one shard, one per pixel array: exactly what its job writes.

    Args:
        store_path: Folder of the store.
        shard: Its number, or a wildcard such as ``{shard}``.
    """
    return [store_path / array.shard_key(shard) for array in PIXEL_ARRAYS]


def shard_count(location_count: int, shard_size: int) -> int:
    """How many shards so many locations fill, the last one perhaps in part."""
    return -(-location_count // shard_size)
