from pathlib import Path

from pipeline.season_pixels import SeasonPixels
from pipeline.store.layout import PIXEL_ARRAYS, shard_count, shard_files


def test_every_field_of_season_pixels_has_an_array():
    assert {array.name for array in PIXEL_ARRAYS} == set(SeasonPixels.__dataclass_fields__)


def test_shard_files_are_zarr_chunk_keys_and_take_wildcards():
    files = [file.as_posix() for file in shard_files(Path("nol.zarr"), "{shard}")]
    assert "nol.zarr/s2_10m/c/{shard}/0/0/0/0" in files
    assert "nol.zarr/label/c/{shard}/0/0/0" in files
    assert shard_files(Path("s"), 7)[0] == Path("s/s2_10m/c/7/0/0/0/0")


def test_shards_cover_all_locations():
    assert [shard_count(n, 64) for n in (1, 64, 65, 250_000)] == [1, 1, 2, 3907]
