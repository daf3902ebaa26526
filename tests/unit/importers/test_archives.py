"""Hostile and honest archives."""

import errno
import gzip
import io
import os
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.importers.archives import iterate_members
from pipeline.importers.members import (
    DamagedMember,
    Limits,
    Member,
    printable,
    reading,
    unsafe_name,
)
from pipeline.importers.units import Decoded, Key, units_of

SMALL = Limits(member_bytes=1 << 20, ratio_free_bytes=1 << 16)


def contents(path: Path, limits: Limits | None = None):
    """What can be read, what is damaged, what is refused: each by name."""
    refusals, read, damaged = [], {}, {}
    for member in iterate_members(path, refusals.append, limits):
        try:
            read[str(member.name)] = member.read()
        except DamagedMember as error:
            damaged[str(member.name)] = str(error)
    return read, damaged, {refusal.name: refusal.reason for refusal in refusals}


def add(archive: tarfile.TarFile, name: str, content: bytes = b"x", **fields) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    archive.addfile(entry, io.BytesIO(content) if content else None)


def add_zipped(archive: zipfile.ZipFile, name: str, content: bytes = b"x", mode: int = 0) -> None:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


@pytest.fixture(params=["w", "w:gz"])
def hostile_tar(request, tmp_path) -> Path:
    path = tmp_path / ("hostile.tar" if request.param == "w" else "hostile.tar.gz")
    with tarfile.open(path, request.param) as archive:
        add(archive, "good/first.tif", b"first")
        add(archive, "../outside.tif")
        add(archive, "good/../../outside.tif")
        add(archive, "/etc/passwd")
        add(archive, "C:/windows.tif")
        add(archive, "good/link.tif", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "good/hard.tif", b"", type=tarfile.LNKTYPE, linkname="good/first.tif")
        add(archive, "good/device", b"", type=tarfile.CHRTYPE)
        add(archive, "good/pipe", b"", type=tarfile.FIFOTYPE)
        add(archive, "good/large.tif", bytes(2 << 20))
        add(archive, "good/last.tif", b"last")
    return path


def test_hostile_members_of_a_tar_are_refused_by_name_and_the_rest_is_read(hostile_tar):
    read, damaged, refused = contents(hostile_tar, SMALL)
    assert read == {"good/first.tif": b"first", "good/last.tif": b"last"}
    assert not damaged
    assert refused == {
        "../outside.tif": "path leads out of the archive",
        "good/../../outside.tif": "path leads out of the archive",
        "/etc/passwd": "absolute path",
        "C:/windows.tif": "absolute path",
        "good/link.tif": "link",
        "good/hard.tif": "link",
        "good/device": "not a regular file",
        "good/pipe": "not a regular file",
        "good/large.tif": "2097152 bytes, more than the 1048576 allowed",
    }


def test_hostile_members_of_a_zip_are_refused_by_name_and_the_rest_is_read(tmp_path):
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as archive:
        add_zipped(archive, "first.tif", b"first")
        add_zipped(archive, "../outside.tif")
        add_zipped(archive, "link.tif", b"/etc/passwd", stat.S_IFLNK | 0o777)
        add_zipped(archive, "bomb.tif", bytes(1 << 19))
        add_zipped(archive, "large.tif", os.urandom(2 << 20))
        add_zipped(archive, "last.tif", b"last")
        with pytest.warns(UserWarning, match="Duplicate"):
            for content in (b"one", b"other"):
                add_zipped(archive, "twice.tif", content)
    read, damaged, refused = contents(path, SMALL)
    assert read == {"first.tif": b"first", "last.tif": b"last"}
    assert not damaged
    assert refused["../outside.tif"] == "path leads out of the archive"
    assert refused["link.tif"] == "link"
    assert refused["bomb.tif"].endswith("a bomb")
    assert refused["twice.tif"] == "the same name twice"
    assert "allowed" in refused["large.tif"]


def test_a_bomb_in_a_packed_tar_is_damaged_and_the_rest_is_read(tmp_path):
    path = tmp_path / "bomb.tgz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "bomb.tif", bytes(40 << 20))
        add(archive, "good.tif", b"good")
    read, damaged, _ = contents(path)
    assert read == {"good.tif": b"good"}
    assert damaged["bomb.tif"].endswith("a bomb")


def test_a_header_that_claims_a_huge_name_costs_no_memory(tmp_path):
    path = tmp_path / "claim.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "good.tif", b"good")
        header = tarfile.TarInfo("././@PaxHeader")
        header.type, header.size = tarfile.XHDTYPE, 1 << 32
        archive.fileobj.write(header.tobuf())
    read, _, refused = contents(path)
    assert read == {"good.tif": b"good"}
    assert "the archive ends here" in refused["good.tif"]
    assert str(1 << 32) in refused["good.tif"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_archive_gives_what_is_whole_and_says_where_it_ends(tmp_path, packed):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for number in range(3):
            add(archive, f"{number}.tif", os.urandom(5000))
    cut = whole.getvalue()[:9000]
    path = tmp_path / ("cut.tar.gz" if packed else "cut.tar")
    path.write_bytes(gzip.compress(cut)[:-200] if packed else cut)
    read, damaged, refused = contents(path)
    assert list(read) == ["0.tif"]
    assert list(damaged) == ["1.tif"]
    assert "the archive ends here" in refused["1.tif"]


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    path = tmp_path / "damaged.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(3):
            add(archive, f"{number}.tif", bytes(1024))
    content = bytearray(path.read_bytes())
    content[1536:1600] = b"\xff" * 64
    path.write_bytes(content)
    read, _, refused = contents(path)
    assert list(read) == ["0.tif"]
    assert "bad checksum" in refused["0.tif"]


def test_damaged_bytes_in_a_zip_are_found_by_their_checksum(tmp_path):
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first.tif", b"first" * 100)
        archive.writestr("last.tif", b"last")
    content = path.read_bytes().replace(b"firstfirst", b"firstFIRST", 1)
    path.write_bytes(content)
    read, damaged, _ = contents(path)
    assert read == {"last.tif": b"last"}
    assert "CRC" in damaged["first.tif"]


def test_a_zip_without_directory_is_refused_as_a_whole(tmp_path):
    path = tmp_path / "no.zip"
    path.write_bytes(b"PK\x03\x04 nothing")
    read, _, refused = contents(path)
    assert not read
    assert refused["no.zip"] == "damaged (File is not a zip file)"


def test_links_and_pipes_in_a_folder_are_refused(tmp_path):
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "good.tif").write_bytes(b"good")
    (folder / "link.tif").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    os.mkfifo(folder / "pipe.tif")
    read, _, refused = contents(folder)
    assert read == {"below/good.tif": b"good"}
    assert refused == {"linked": "link", "link.tif": "link", "pipe.tif": "not a regular file"}


def test_archives_in_a_folder_and_parts_of_one_are_gone_through(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for number in range(4):
            add(archive, f"s1/{number}.tif", os.urandom(3000))
    content = whole.getvalue()
    for number, suffix in enumerate(["aa", "ab", "ac"]):
        part = content[number * 5000 : (number + 1) * 5000]
        (folder / f"s1.tar.gz.part{suffix}").write_bytes(part)
    (folder / "plain.txt").write_bytes(b"plain")
    read, damaged, refused = contents(folder)
    names = [f"s1.tar.gz.partaa/s1/{number}.tif" for number in range(4)]
    assert sorted(read) == ["plain.txt", *names]
    assert not damaged
    assert not refused


@pytest.mark.parametrize("suffix", ["part{}", "part{:02}", "{:03}"])
def test_parts_are_joined_in_the_order_of_their_numbers(tmp_path, suffix):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for number in range(4):
            add(archive, f"{number}.tif", os.urandom(3000))
    content = whole.getvalue()
    for number in range(12):
        part = content[number * 1100 : (number + 1) * 1100]
        (tmp_path / f"s1.tar.gz.{suffix.format(number + 1)}").write_bytes(part)
    read, _, refused = contents(tmp_path / f"s1.tar.gz.{suffix.format(1)}")
    assert list(read) == ["0.tif", "1.tif", "2.tif", "3.tif"]
    assert not refused


def test_a_disk_that_fails_is_no_damage_of_the_archive(tmp_path):
    told = pytest.raises(PipelineError, match=r"x.zip cannot be read \(Input/output error\)")
    with told, reading(tmp_path / "x.zip"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(DamagedMember, match="damaged"), reading(tmp_path / "x.zip"):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    folder = tmp_path / "folder"
    folder.mkdir()
    members = iterate_members(folder, lambda refusal: None)
    folder.rmdir()
    with pytest.raises(PipelineError, match="folder cannot be read"):
        list(members)


def test_the_files_of_one_unit_are_bounded_together():
    key, read = Key("", "7", "s2"), []

    def member(number: int) -> Member:
        return Member("x.zip", Path(f"{number}.tif"), 60 << 20, lambda: read.append(number) or b"")

    units = units_of(
        map(member, range(9)), lambda name: key, lambda *_: Decoded({}), lambda _: True
    )
    with pytest.raises(DamagedMember, match="more than 268435456 bytes"):
        next(units).decode()
    assert len(read) == 4


@pytest.mark.parametrize(
    "name", ["", "a" * 2000, "a\nb", "/a", "\\a", "c:\\a", "a/../b", "a\\..\\b", "a\\b"]
)
def test_names_that_are_not_followed(name):
    assert unsafe_name(name)


def test_ordinary_names_are_followed():
    assert not unsafe_name("./s2c/0000200/20200604T054639..T43RCP/B1.tif")


def test_names_are_shown_without_control_characters():
    assert printable("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert len(printable("x" * 5000)) == 200


def test_what_is_no_archive_is_one_line(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"")
    with pytest.raises(PipelineError, match="neither a folder"):
        iterate_members(tmp_path / "a.rar", lambda refusal: None)
    with pytest.raises(PipelineError, match="does not exist"):
        iterate_members(tmp_path / "none.zip", lambda refusal: None)


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    for member in iterate_members(path, lambda refusal: None):
        member.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_members(tmp_path):
    peaks = []
    for count in (100, 10_000):
        path = tmp_path / f"{count}.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for number in range(count):
                add(archive, f"s1/{number:07d}/scene/VV.tif", bytes(20_000))
        peaks.append(peak_bytes(path))
    # of 200 MB; a process grows its table of interned names now and then, by a few MB at once
    assert peaks[1] < peaks[0] + 8_000_000
