"""What lies in a store of tiles: one date per sample, every band on the label's own 10 m grid.

``dw.zarr``, ``osm.zarr`` and imported benchmarks have this form: a Zarr v3 group per split, all
tiles of a group of one size. One inner chunk is one tile of one array; one shard holds
`TileGroup.shard_size` tiles and is one file, written by one job.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.legend import UNLABELLED, load_legend
from pipeline.season_pixels import S1_NODATA, S2_NODATA
from pipeline.sensors import cube_bands
from pipeline.store.layout import (
    IMAGERY_CODECS,
    LABEL_CODECS,
    NO_TIME,
    RECORD_ARRAYS,
    VALID,
    Codecs,
    RecordArray,
)

TILE_LAYOUT = "noldo-tiles-1"
"""Attribute ``layout`` of this form, of the store and of each of its groups."""

TILES_PER_SHARD = 32
"""Default: about 140 MB compressed at 512 pixels, so that one job is a few minutes of requests."""


@dataclass(frozen=True)
class TileArray:
    """One sharded array of pixels.

    Attributes:
        name: In the store.
        dtype: As stored.
        nodata: As stored; also Zarr's fill value.
        codecs: Of the inner chunks, behind ``bytes``, as in Zarr's metadata.
        attributes: CF attributes.
        band_dimension: Name of the band axis, empty if there is none.
        band_names: Names along the band axis.
    """

    name: str
    dtype: str
    nodata: int
    codecs: Codecs
    attributes: dict[str, Any] = field(default_factory=dict)
    band_dimension: str = ""
    band_names: tuple[str, ...] = ()

    @property
    def dimensions(self) -> list[str]:
        """Names of the axes."""
        bands = [self.band_dimension] if self.band_dimension else []
        return ["sample", *bands, "y", "x"]

    def tile_shape(self, size: int) -> tuple[int, ...]:
        """Shape of one tile of so many rows and columns."""
        bands = (len(self.band_names),) if self.band_dimension else ()
        return (*bands, size, size)

    def shard_key(self, shard: int | str) -> str:
        """Path of a shard's file below the group: Zarr's own chunk key."""
        return f"{self.name}/c/{shard}" + "/0" * (len(self.dimensions) - 1)


def reflectance_array(bands: Sequence[str] = ()) -> TileArray:
    """``s2 (sample, band_s2, y, x)``: uint16, reflectance x 10000, 0 = no data.

    Args:
        bands: Names of the bands in the order of the axis; by default all 13 of Sentinel-2.
    """
    return TileArray(
        name="s2",
        dtype="uint16",
        nodata=S2_NODATA,
        codecs=IMAGERY_CODECS,
        attributes={
            "long_name": "Sentinel-2 L1C top-of-atmosphere reflectance on the label's 10 m grid",
            "units": "1e-4",
            "comment": "reflectance x 10000, harmonised to processing baseline 02; 0 is no data",
        },
        band_dimension="band_s2",
        band_names=tuple(bands) or tuple(band.name for band in cube_bands("sentinel-2")),
    )


def backscatter_array() -> TileArray:
    """``s1 (sample, band_s1, y, x)``: VV and VH, int16 in 0.01 dB, -32768 = no data."""
    return TileArray(
        name="s1",
        dtype="int16",
        nodata=S1_NODATA,
        codecs=IMAGERY_CODECS,
        attributes={
            "long_name": "Sentinel-1 GRD IW backscatter coefficient (sigma nought)",
            "units": "dB",
            "scale_factor": 0.01,
            "_FillValue": S1_NODATA,
        },
        band_dimension="band_s1",
        band_names=tuple(band.name for band in cube_bands("sentinel-1")),
    )


def label_array(name: str, legend: str, long_name: str) -> TileArray:
    """``<name> (sample, y, x)``: uint8, ids of a legend of ``classes.csv``, 255 = no label."""
    classes = load_legend(legend)
    return TileArray(
        name=name,
        dtype="uint8",
        nodata=UNLABELLED,
        codecs=LABEL_CODECS,
        attributes={
            "long_name": long_name,
            "flag_values": [row.id for row in classes],
            "flag_meanings": " ".join(row.flag_meaning for row in classes),
            "flag_colors": " ".join(row.color for row in classes),
            "_FillValue": UNLABELLED,
        },
    )


_DAYS = {
    "units": "days since 1970-01-01",
    "calendar": "proleptic_gregorian",
    "_FillValue": NO_TIME,
}

TILE_RECORDS: tuple[RecordArray, ...] = (
    *(replace(array, seasonal=False) for array in RECORD_ARRAYS if array.name != "dw_id"),
    RecordArray(
        "label_date", "int64", NO_TIME, attributes={"long_name": "day the label describes"} | _DAYS
    ),
    RecordArray("reason", "string", "", attributes={"long_name": "why the sample is not valid"}),
)
"""One value per tile; what a source does not know stays at the fill value."""

TILE_VALID = replace(VALID, attributes={"long_name": "the tile is complete; others are empty"})
"""Written last of all: a sample counts once it says so."""


@dataclass(frozen=True)
class TileGroup:
    """One group of a store: a split.

    Attributes:
        count: Candidate tiles, kept or not: the length of ``sample``.
        size: Rows and columns of every tile.
        arrays: Its pixels.
        records: One value per tile, `TILE_RECORDS` and whatever else the source knows.
        shard_size: Tiles in one shard.
    """

    count: int
    size: int
    arrays: tuple[TileArray, ...]
    records: tuple[RecordArray, ...] = TILE_RECORDS
    shard_size: int = TILES_PER_SHARD

    @property
    def shards(self) -> range:
        """Numbers of the shards; the last one may be cut short."""
        return range(-(-self.count // self.shard_size))

    def samples_of(self, shard: int) -> range:
        """The samples in one shard."""
        first = shard * self.shard_size
        return range(first, min(first + self.shard_size, self.count))
