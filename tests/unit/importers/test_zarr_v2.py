"""Zipped Zarr v2 groups that lie about themselves."""

import json
import zipfile
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from pipeline.importers.members import DamagedMember
from pipeline.importers.zarr_v2 import ZippedGroup

VALUES = np.arange(24, dtype="<i2").reshape(4, 6)


def write(path: Path, stored: dict[str, bytes], **metadata) -> Path:
    """A group with one array ``a`` of shape (4, 6) in chunks of (2, 4)."""
    described = {
        "zarr_format": 2,
        "shape": [4, 6],
        "chunks": [2, 4],
        "dtype": "<i2",
        "compressor": None,
        "fill_value": -1,
        "order": "C",
        "filters": None,
    } | metadata
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/.zarray", json.dumps(described))
        for key, content in stored.items():
            archive.writestr(f"a/{key}", content)
    return path


def plain_chunks() -> dict[str, bytes]:
    padded = np.pad(VALUES, ((0, 0), (0, 2)))
    return {
        f"{i}.{j}": padded[2 * i : 2 * i + 2, 4 * j : 4 * j + 4].tobytes()
        for i in range(2)
        for j in range(2)
    }


@pytest.mark.parametrize(
    ("compressor", "encode"),
    [
        (None, bytes),
        ({"id": "blosc"}, lambda chunk: numcodecs.Blosc(shuffle=2).encode(chunk)),
        ({"id": "zlib", "level": 1}, zlib.compress),
    ],
)
def test_rows_are_read_from_the_chunks_they_touch(tmp_path, compressor, encode):
    chunks = {key: encode(chunk) for key, chunk in plain_chunks().items()}
    path = write(tmp_path / "a.zip", chunks, compressor=compressor)
    with ZippedGroup(path) as group:
        np.testing.assert_array_equal(group.array("a").read(), VALUES)
        np.testing.assert_array_equal(group.array("a").read(3), VALUES[3])
        assert int(group.array("a").read(3, 5)) == 23


def test_an_absent_chunk_is_the_fill_value(tmp_path):
    chunks = plain_chunks()
    del chunks["0.1"]
    with ZippedGroup(write(tmp_path / "a.zip", chunks)) as group:
        assert group.array("a").read(0).tolist() == [0, 1, 2, 3, -1, -1]


@pytest.mark.parametrize(
    "metadata",
    [
        {"filters": [{"id": "pickle"}]},
        {"compressor": {"id": "pickle"}},
        {"dtype": "|O"},
        {"dtype": "f4,,"},
        {"dtype": [["a", "<i4"]]},
        {"dtype": "<U99999999"},
        {"shape": [1 << 40, 1 << 40]},
        {"chunks": [1 << 20, 1 << 20]},
        {"chunks": [0, 4]},
        {"zarr_format": 3},
        {"order": "F"},
        {"fill_value": "abc"},
        {"fill_value": [1, 2]},
        {"fill_value": {}},
    ],
)
def test_metadata_that_are_not_followed(tmp_path, metadata):
    path = write(tmp_path / "a.zip", {}, **metadata)
    with ZippedGroup(path) as group, pytest.raises(DamagedMember, match="is not Zarr v2"):
        group.array("a")


def test_metadata_nested_without_end_are_not_followed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/.zarray", "[" * 100_000)
    with ZippedGroup(tmp_path / "a.zip") as group, pytest.raises(DamagedMember):
        group.array("a")


@pytest.mark.parametrize("index", [(4,), (-1,), (0, 6)])
def test_what_lies_outside_of_an_array_is_not_made_up(tmp_path, index):
    path = write(tmp_path / "a.zip", plain_chunks())
    with ZippedGroup(path) as group, pytest.raises(DamagedMember, match=r"has no \("):
        group.array("a").read(*index)


def lying_blosc() -> bytes:
    content = bytearray(numcodecs.Blosc().encode(plain_chunks()["0.0"]))
    content[4:8] = (2_000_000_000).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("compressor", "chunk", "message"),
    [
        ({"id": "blosc"}, lying_blosc(), "claims 2000000000 bytes instead of 16"),
        ({"id": "blosc"}, b"short", "claims"),
        ({"id": "blosc"}, numcodecs.Blosc().encode(bytes(16))[:-3], "packed bytes, it has"),
        ({"id": "zlib"}, zlib.compress(bytes(50_000_000)), "holds 17 bytes instead of 16"),
        ({"id": "zlib"}, b"nothing", "damaged"),
        (None, bytes(10), "holds 10 bytes instead of 16"),
    ],
)
def test_chunks_that_are_not_what_they_should_be(tmp_path, compressor, chunk, message):
    path = write(tmp_path / "a.zip", {"0.0": chunk}, compressor=compressor)
    with ZippedGroup(path) as group, pytest.raises(DamagedMember, match=message):
        group.array("a").read()


def test_texts_of_any_length_are_read_and_nothing_else_that_is_an_object(tmp_path):
    names = np.array(["0000173", "42", "", "é"], object)
    content = numcodecs.Blosc().encode(numcodecs.VLenUTF8().encode(names))
    described = {"shape": [4], "chunks": [4], "dtype": "|O", "compressor": {"id": "blosc"}}
    good = described | {"filters": [{"id": "vlen-utf8"}]}
    with ZippedGroup(write(tmp_path / "a.zip", {"0": content}, **good)) as group:
        assert group.array("a").read().tolist() == names.tolist()
    bad = described | {"filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}
    path = write(tmp_path / "b.zip", {"0": content}, **bad)
    with ZippedGroup(path) as group, pytest.raises(DamagedMember, match="is not Zarr v2"):
        group.array("a")
    cut = numcodecs.Blosc().encode(numcodecs.VLenUTF8().encode(names)[:-2])
    path = write(tmp_path / "c.zip", {"0": cut}, **good)
    with ZippedGroup(path) as group, pytest.raises(DamagedMember, match="damaged"):
        group.array("a").read()


def test_an_array_that_claims_a_huge_shape_costs_no_memory(tmp_path):
    path = write(tmp_path / "a.zip", plain_chunks(), shape=[4, 1 << 28])
    with ZippedGroup(path) as group, pytest.raises(DamagedMember, match="too large"):
        group.array("a").read(0)
