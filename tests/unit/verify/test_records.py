import json
import shutil
from dataclasses import asdict

import pandas as pd
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.rechunk import Plan, rechunk
from pipeline.statistics import main as make_statistics
from pipeline.verify.checksums import manifest_path, record_checksums
from pipeline.verify.evidence import LISTED, Evidence, merge_evidence
from pipeline.verify.figures import load_published
from pipeline.verify.findings import Finding, read_verification, verification, write_verification
from pipeline.verify.limits import load_limits
from tests.unit.verify.painted_store import set_attributes


def checks(result):
    return {finding.check for finding in result.findings}


def write_index(store, **changes):
    columns = ("id", "epsg", "left", "top", "split", "valid")
    table = pd.DataFrame({name: zarr.open_array(store / name)[...] for name in columns})
    for name, (row, value) in changes.items():
        table.loc[row, name] = value
    table = table.rename(columns={"id": "location_id"})
    table.to_parquet(store.with_name("nol.index.parquet"))


def test_every_altered_or_lost_file_is_named(store, verified):
    assert record_checksums(store) > 30
    assert verified(store).findings == ()
    label, place = store / "label/c/0/0/0/0", store / "left/c/0"
    label.write_bytes(label.read_bytes() + b"0")
    place.unlink()
    (store / "s1/c/7/0/0/0").mkdir(parents=True)
    (store / "s1/c/7/0/0/0/0").write_bytes(b"")
    found = [f for f in verified(store).findings if f.check == "checksums"]
    messages = sorted(finding.message for finding in found)
    assert messages == [
        "label/c/0/0/0/0: the file was altered after it was written",
        "left/c/0: the file is lost",
        "s1/c/7/0/0/0/0: no record knows this file",
    ]


def test_checksums_of_another_store_are_refused(store, verified):
    record_checksums(store)
    path = manifest_path(store)
    document = json.loads(path.read_text())
    document["files"]["../settings.yaml"] = {"sha256": "", "size": 0}
    path.write_text(json.dumps(document))
    with pytest.raises(PipelineError, match="outside the store"):
        verified(store)
    document["dataset_hash"] = "another"
    del document["files"]["../settings.yaml"]
    path.write_text(json.dumps(document))
    with pytest.raises(PipelineError, match="another dataset"):
        verified(store)


def test_repeated_and_unknown_ids_are_found(store, verified):
    write_index(store)
    assert verified(store).findings == ()
    ids = zarr.open_array(store / "id", mode="r+")
    ids[3] = "0002"
    ids[5] = "elsewhere"
    found = [f for f in verified(store).findings if f.check == "ids"]
    assert {(f.sample_id, f.message.split(";")[0]) for f in found} >= {
        ("0002", "several samples have this id"),
        ("elsewhere", "the index lacks this sample"),
        ("0003", "the store lacks this sample"),
        ("0005", "the store lacks this sample"),
    }


@pytest.mark.parametrize("change", [{"left": (4, 1.0)}, {"split": (4, "test")}])
def test_an_index_that_says_otherwise_is_found(store, verified, change):
    write_index(store, **change)
    (finding,) = verified(store).findings
    assert (finding.check, finding.sample_id, finding.array) == ("ids", "0004", next(iter(change)))


def test_a_grid_moved_by_one_pixel_is_found(store, verified):
    left = zarr.open_array(store / "left", mode="r+")
    left[2] += 10
    zarr.open_array(store / "lat", mode="r+")[6] += 0.01
    found = [f for f in verified(store).findings if f.check == "grids"]
    assert [(f.sample_id, f.array) for f in found] == [("0002", "left"), ("0006", "lon")]


def test_coordinates_off_the_pixel_centres_are_found(store, verified):
    x = zarr.open_array(store / "x_20m", mode="r+")
    x[...] = x[...] - 10
    (finding,) = verified(store).findings
    assert (finding.check, finding.array) == ("grids", "x_20m")


def test_statistics_older_than_the_pixels_are_found(store, verified, tmp_path):
    make_statistics(["--store", str(store), "--output", str(tmp_path / "s.json")])
    result = verified(store)
    assert result.findings == ()
    (check,) = (check for check in result.checks if check.check == "statistics")
    assert check.examined > 500
    recorded = json.loads((tmp_path / "s.json").read_text())
    recorded["bands"]["train"]["2"]["B4"]["mean"] += 0.01
    recorded["classes"]["train"]["all"]["water"] += 1
    set_attributes(store, statistics=recorded)
    found = verified(store).findings
    assert [(f.array, f.season) for f in found] == [("B4", 2), ("water", None)]


def test_a_cube_is_as_sound_as_the_store_it_was_made_of(store, verified, tmp_path):
    make_statistics(["--store", str(store), "--output", str(tmp_path / "s.json")])
    rechunk(store, tmp_path / "cube.zarr", Plan("cube", samples_per_file=4))
    assert verified(tmp_path / "cube.zarr").findings == ()
    rechunk(store, tmp_path / "plain.zarr", Plan("cube"))
    with pytest.raises(PipelineError, match="no array of pixels in shards"):
        verified(tmp_path / "plain.zarr")


def test_findings_survive_the_file_and_keep_their_order(tmp_path):
    findings = [
        Finding("ids", "id", "b", None, "1", "2", "text"),
        Finding("bands", "s1", "a", 3, "1", "2", "text"),
        Finding("bands", "s1", "a", None, "1", "2", "text"),
    ]
    examined = [("bands", 4, "what"), ("ids", 2, "what"), ("grids", 0, "what")]
    result = verification("nol.zarr", True, "1.0", examined, findings, {"bands": 40})
    assert [f.season for f in result.findings] == [None, 3, None]
    assert [check.passed for check in result.checks] == [False, False, True]
    assert [check.found for check in result.checks] == [42, 1, 0] and result.found == 43
    write_verification(tmp_path / "nol.json", result)
    assert read_verification(tmp_path / "nol.json") == result
    with pytest.raises(ValueError, match="not made"):
        verification("nol.zarr", True, "1.0", examined[:1], findings)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": "other"}', "no JSON"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(PipelineError, match="not the result of a verification"):
        read_verification(tmp_path / "x.json")


def test_the_number_of_findings_stays_bounded():
    one = Evidence([Finding("ids", "id", str(n), None, "", "", "") for n in range(LISTED - 1)])
    merged = merge_evidence([merge_evidence([one, one]), one])
    assert len(merged.findings) == LISTED
    assert merged.omitted["ids"] == 3 * (LISTED - 1) - LISTED


def test_limits_and_published_figures_are_read_whole():
    limits = asdict(load_limits())
    assert all(value > 0 for name, value in limits.items() if "smallest" not in name)
    assert len(load_published()) == 15
    assert all(row.source for row in load_published())


@pytest.mark.parametrize("rubbish", [{}, {"bands": {"train": {"all": ["B4"]}}}, "no"])
def test_statistics_that_are_none_are_findings(store, verified, rubbish):
    set_attributes(store, statistics=rubbish)
    assert checks(verified(store)) == {"statistics"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": ["../../etc"]}, "no names of folders"),
        ({"groups": []}, "no names of folders"),
        ({"groups": 7}, "no names of folders"),
        ({"settings": "no"}, "lacks the attribute 'settings'"),
        ({"layout": "another"}, "no store of ours"),
    ],
)
def test_attributes_that_no_store_has_are_refused_in_one_line(store, verified, changes, message):
    set_attributes(store, **changes)
    with pytest.raises(PipelineError, match=message):
        verified(store)


def test_lost_and_damaged_records_are_told_in_one_line(store, verified):
    (store / "left/c/0").write_bytes(b"rubbish")
    with pytest.raises(PipelineError, match="the array 'left' in .* is damaged"):
        verified(store)
    shutil.rmtree(store / "id")
    with pytest.raises(PipelineError, match="there is no array 'id'"):
        verified(store)


def test_an_index_that_cannot_be_read_is_told_in_one_line(store, verified):
    index = store.with_name("nol.index.parquet")
    index.write_bytes(b"rubbish")
    with pytest.raises(PipelineError, match="index.parquet cannot be read"):
        verified(store)
    pd.DataFrame({"name": ["a"]}).to_parquet(index)
    with pytest.raises(PipelineError, match="has no column of ids"):
        verified(store)


def test_what_a_build_recorded_is_not_written_down_again(store, verified):
    every = record_checksums(store)
    ledger = store.with_name("nol.zarr.import") / "commits" / "_" / "label" / "0.json"
    ledger.parent.mkdir(parents=True)
    entry = {"sha256": "0" * 64, "size": 1}
    ledger.write_text(json.dumps({"files": {"label/c/0/0/0/0": entry}}))
    assert record_checksums(store) == every - 1
    (finding,) = verified(store).findings
    assert finding.message == "label/c/0/0/0/0: the file was altered after it was written"
