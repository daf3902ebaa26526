"""Defects planted in copies of a store are found by content: no checksum and no statistic helps."""

import re
import shutil
from pathlib import Path

import distributed
import numpy as np
import pytest
import zarr

from pipeline.errors import PipelineError
from pipeline.store.groups import write_records
from pipeline.verify.__main__ import main
from pipeline.verify.checksums import manifest_path, record_checksums
from pipeline.verify.findings import read_verification
from pipeline.verify.store import CHECKS, verify_store
from tests.unit.verify.painted_store import (
    SHARD,
    offset,
    relabelled,
    set_attributes,
    shifted,
    swapped,
)


def found(result, check):
    return [finding for finding in result.findings if finding.check == check]


def flip(path, byte):
    content = bytearray(path.read_bytes())
    content[byte] ^= 16
    path.write_bytes(content)


def test_a_healthy_store_has_no_finding(healthy, verified):
    result = verified(healthy)
    assert result.findings == ()
    assert [check.check for check in result.checks] == [name for name, _ in CHECKS]
    examined = {check.check: check.examined for check in result.checks}
    assert examined["readable"] == 8 and examined["offset"] == 32
    assert examined["checksums"] == examined["statistics"] == 0
    assert examined["alignment"] > 32 * 10


@pytest.mark.parametrize("array", ["s2_10m", "s2_20m", "s2_60m", "s1", "label"])
def test_an_array_shifted_by_one_pixel_is_named(changed, verified, array):
    store = found(verified(changed(shifted(array))), "alignment")
    whole = [finding for finding in store if not finding.sample_id]
    named = [finding for finding in whole if finding.array.split()[0] == array]
    assert named and named[0].season is None
    assert re.match(r"[-+]0.0 px south, \+(0.9|1.\d|2.\d) px east", named[0].value)


def test_one_shifted_season_of_one_sample_is_found(changed, verified):
    findings = found(verified(changed(shifted("s2_10m"), [4], [2])), "alignment")
    assert findings
    assert {(finding.sample_id, finding.season) for finding in findings} == {("0004", 2)}
    assert any("s2_10m" in finding.array + finding.message for finding in findings)


def test_one_season_shifted_throughout_is_named(changed, verified):
    findings = found(verified(changed(shifted("s1"), None, [3])), "alignment")
    assert {finding.season for finding in findings} == {3}
    assert any(not finding.sample_id for finding in findings)


@pytest.mark.parametrize(
    ("array", "one", "other", "names"),
    [
        ("s2_10m", 0, 1, "B2 and B3"),
        ("s2_20m", 2, 3, "B7 and B8A"),
    ],
)
def test_swapped_bands_are_named(changed, verified, array, one, other, names):
    findings = found(verified(changed(swapped(array, one, other))), "bands")
    assert findings[0].array == array and findings[0].message.startswith(names)


def test_swapped_polarisations_of_one_scene_are_found(changed, verified):
    (finding,) = found(verified(changed(swapped("s1", 0, 1), [2], [1])), "bands")
    assert (finding.array, finding.sample_id, finding.season) == ("s1", "0002", 1)


def test_the_offset_of_one_scene_is_found(changed, verified):
    arrays = ("s2_10m", "s2_20m", "s2_60m")
    (finding,) = found(verified(changed(offset(*arrays), [5], [0])), "offset")
    assert (finding.sample_id, finding.season) == ("0005", 0)
    assert "13 bands carry +1000" in finding.message


def test_the_offset_of_one_array_is_found(changed, verified):
    findings = found(verified(changed(offset("s2_20m"))), "offset")
    assert findings[0].array == "s2_20m" and not findings[0].sample_id


def test_ids_outside_the_legend_are_listed(changed, verified):
    findings = found(verified(changed(relabelled({4: 9}), [1], [0, 1])), "classes")
    assert [(f.sample_id, f.season) for f in findings] == [("0001", 0), ("0001", 1)]
    assert findings[0].value.startswith("ids 9 in")


@pytest.mark.parametrize("ids", [{0: 1, 1: 0}, {k: k + 1 for k in range(8)}], ids=["swap", "shift"])
def test_wrong_ids_inside_the_legend_are_found(changed, verified, ids):
    findings = found(verified(changed(relabelled(ids))), "classes")
    assert any(not finding.sample_id for finding in findings)
    assert all("wrong class id" in finding.message for finding in findings)


def test_a_lost_shard_and_stale_validity_are_found(store, verified):
    (store / "s1/c/1/0/0/0/0").unlink()
    zarr.open_array(store / "valid", mode="r+")[0] = False
    findings = found(verified(store), "validity")
    lost = {f.sample_id for f in findings if "lost" in f.message}
    assert lost == {f"{sample:04d}" for sample in range(SHARD, 2 * SHARD)}
    assert {f.sample_id for f in findings if "stale" in f.message} == {"0000"}


def test_a_damaged_chunk_is_one_finding_among_the_others(store, verified):
    path = store / "s2_10m/c/2/0/0/0/0"
    content = bytearray(path.read_bytes())
    content[:64] = bytes(64)
    path.write_bytes(content)
    (finding,) = found(verified(store), "readable")
    assert finding.sample_id == "0006" and "damaged" in finding.message


def test_a_flipped_bit_of_a_chunk_is_found_without_any_record_of_the_file(store, verified):
    flip(store / "label/c/1/0/0/0", 20)
    (finding,) = found(verified(store), "readable")
    assert finding.sample_id == "0003" and "checksum" in finding.message
    assert not manifest_path(store).exists()


@pytest.mark.parametrize(
    "lose", [Path.unlink, lambda path: flip(path, 20)], ids=["lost", "flipped"]
)
def test_statistics_are_not_held_against_samples_that_are_lost(store, verified, lose):
    set_attributes(store, statistics={"bands": {}, "classes": {}})
    assert found(verified(store), "statistics")
    lose(store / "label/c/1/0/0/0")
    result = verified(store)
    assert result.findings and not found(result, "statistics")


def test_lost_records_are_named_and_nothing_is_judged_by_them(store, verified):
    record_checksums(store)
    (store / "epsg/c/0").unlink()
    (store / "s1_id/c/0/0").write_bytes(b"")
    (store / "label/c/0/0/0/0").write_bytes(b"")
    result = verified(store)
    lost = {(one.array, one.value) for one in found(result, "readable")}
    assert lost == {("epsg", "lost"), ("s1_id", "lost")}
    assert {one.array for one in found(result, "checksums")} == {"epsg", "s1_id", "label"}
    examined = {check.check for check in result.checks if check.examined}
    assert examined == {"checksums", "readable"}


def test_threads_and_a_cluster_give_the_same_result(changed, verified, tmp_path, capsys):
    store = changed(swapped("s1", 0, 1), [0, 2, 5])
    expected = verified(store)
    outputs = [tmp_path / "threads.json", tmp_path / "cluster.json"]
    with pytest.raises(SystemExit) as left:
        main([str(store), "--output", str(outputs[0]), "--threads", "2"])
    assert left.value.code == 1
    told = capsys.readouterr().out.replace("\n", " ")
    assert "VV and VH are swapped" in told and "wrong: 12 findings" in told
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        words = [store, "--report-only", "--output", outputs[1]]
        main([*map(str, words), "--scheduler", cluster.scheduler_address])
    for output in outputs:
        assert read_verification(output) == expected
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_what_is_no_store_is_refused_in_one_line(tmp_path):
    with pytest.raises(PipelineError, match="no store of ours"):
        verify_store(tmp_path)


def test_a_store_without_samples_is_sound(store, verified):
    write_records(store, "valid", np.zeros(zarr.open_array(store / "valid").shape, bool))
    for name in ("s2_10m", "s2_20m", "s2_60m", "s1", "label"):
        shutil.rmtree(store / name / "c")
    assert verified(store).findings == ()
