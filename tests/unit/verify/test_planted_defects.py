"""The benchmark plants a defect where it says, and leaves no trace of it but the content."""

import numpy as np
import pytest
import xarray as xr

from tests.benchmarks.bench_defects import compare
from tests.benchmarks.defect_list import DEFECTS, flipped_bit, transposed
from tests.benchmarks.planted_defects import SINGLE_SCENES, Defect, InStoredBytes, plant


def test_a_copy_differs_where_the_defect_was_planted_and_nowhere_else(healthy, tmp_path, verified):
    defect = Defect("nol", "transposed", ("s1",), transposed, SINGLE_SCENES)
    copy, places = plant(healthy, defect, tmp_path)
    one, other = (xr.open_zarr(path, mask_and_scale=False).load() for path in (healthy, copy))
    assert len(places) == 8
    for name in ("s1", "s2_10m", "s2_20m", "s2_60m", "label"):
        changed = (one[name] != other[name]).any(list(one[name].dims[2:])).values
        found = {
            (str(one["id"].values[k]), int(t)) for k, t in zip(*np.nonzero(changed), strict=True)
        }
        assert found == (places if name == "s1" else set())
    result = verified(copy)
    examined = {check.check: check.examined for check in result.checks}
    assert examined["checksums"] > 30 and examined["statistics"] > 500
    assert not {"checksums", "statistics", "ids"} & {one.check for one in result.findings}


@pytest.mark.parametrize("array", ["s1", "label"])
def test_a_flipped_bit_is_found_by_the_checksum_of_its_chunk_alone(
    healthy, tmp_path, verified, array
):
    defect = Defect("nol", "flipped", (array,), InStoredBytes(flipped_bit), SINGLE_SCENES)
    copy, places = plant(healthy, defect, tmp_path)
    result = verified(copy)
    outcome = compare("nol", defect, places, result)
    assert (outcome.planted, outcome.found, outcome.elsewhere) == (8, 8, 0)
    readable = [one for one in result.findings if one.check == "readable"]
    assert len(readable) == 8 and all(
        "its checksum does not fit" in one.message for one in readable
    )
    assert "checksums" not in {one.check for one in result.findings}


def test_every_defect_is_of_a_kind_of_its_own():
    told = [(one.store, one.what, one.extent.name) for one in DEFECTS]
    assert len(told) == len(set(told))
    assert {one.store for one in DEFECTS} == {"nol", "dw", "osm"}
