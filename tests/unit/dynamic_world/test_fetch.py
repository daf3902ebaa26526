"""Pairing one tile: what masked and flat images lead to."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.dynamic_world.expert_tile import ExpertTile
from pipeline.dynamic_world.fetch import pair_tile
from pipeline.dynamic_world.pixels import TileImages
from pipeline.dynamic_world.staging import TileStaging
from pipeline.grid import PatchGrid
from pipeline.ledger import Reason, Status
from pipeline.settings.dynamic_world import DynamicWorldSettings
from tests.unit.dynamic_world.test_pairing import DATE, EPSG, candidates, optical, radar

SIZE = 16
TILE = ExpertTile(
    3,
    "dw_15.0_47.8-20180615",
    "train",
    DATE,
    PatchGrid(EPSG, 500_000.0, 5_300_000.0, SIZE, SIZE),
    Path("tile.tif"),
    "",
)
RELEASED = DynamicWorldSettings(rule="released")


def images(s2_hole=False, s1_hole=False, flat=False):
    s2 = np.arange(13 * SIZE**2, dtype=np.float32).reshape(13, SIZE, SIZE) + 0.4
    s1 = np.linspace(-30, 3, 2 * SIZE**2, dtype=np.float32).reshape(2, SIZE, SIZE)
    if flat:
        s2 = np.full_like(s2, 9000.0)
    if s2_hole:
        s2[12, 0, 0] = -1.0
    if s1_hole:
        s1[1, 3, 3] = -9999.0
    return TileImages(s2, s1)


def test_images_become_integers_and_the_row_names_the_scenes():
    found = candidates([optical(2)], [radar(4)])
    row, arrays = pair_tile(TILE, found, RELEASED, lambda pair: images())
    assert (row.status, row.s2_id, row.s1_id) == (
        Status.DONE,
        optical(2).index,
        radar(4).index,
    )
    assert (row.sample, row.location_id, row.season) == (3, TILE.tile_id, 0)
    assert arrays["s2"].dtype == np.uint16 and arrays["s2"][0, 0, :3].tolist() == [0, 1, 2]
    assert arrays["s1"].dtype == np.int16 and arrays["s1"][0, 0, 0] == -3000


def test_resampled_reflectance_is_rounded_and_limited():
    reflectance = np.array([[[0.4, 0.6, 1999.51, -1.0, -0.4, 65535.4, 70_000.0]]], np.float32)
    stored = TileImages(reflectance, np.zeros((2, 1, 7), np.float32)).stored()["s2"]
    assert stored.dtype == np.uint16
    assert stored.ravel().tolist() == [0, 1, 2000, 0, 0, 65535, 65535]


def test_a_hole_in_sentinel_2_leads_to_the_other_window():
    found = candidates([optical(2), optical(-3)], [radar(4)])
    holes = {optical(2).index}
    row, _ = pair_tile(
        TILE, found, RELEASED, lambda pair: images(s2_hole=pair.optical.index in holes)
    )
    assert row.s2_id == optical(-3).index


def test_a_hole_in_sentinel_1_leads_to_the_other_window():
    found = candidates([optical(2)], [radar(4), radar(-3)])
    holes = {radar(4).index}
    row, _ = pair_tile(
        TILE, found, RELEASED, lambda pair: images(s1_hole=pair.radar.index in holes)
    )
    assert row.s1_id == radar(-3).index


def test_holes_everywhere_are_a_rejection():
    found = candidates([optical(2), optical(-3)], [radar(4)])
    row, arrays = pair_tile(TILE, found, RELEASED, lambda pair: images(s2_hole=True))
    assert (row.status, row.reason) == (Status.REJECTED, Reason.NODATA)
    assert arrays == {}


def test_a_flat_image_is_a_rejection_that_names_its_scenes():
    found = candidates([optical(2), optical(-3)], [radar(4)])
    row, arrays = pair_tile(TILE, found, RELEASED, lambda pair: images(flat=True))
    assert (row.status, row.reason) == (Status.REJECTED, Reason.FLAT_S2)
    assert row.s2_id == optical(2).index
    assert arrays == {}


@pytest.fixture
def staging(tmp_path):
    found = candidates([optical(2)], [radar(4)])
    row, arrays = pair_tile(TILE, found, RELEASED, lambda pair: images())
    staging = TileStaging(tmp_path / "staging")
    staging.save(TILE, row, arrays)
    return staging, row, arrays


def test_a_staged_tile_comes_back_as_it_was(staging):
    folder, row, arrays = staging
    assert folder.find(TILE) == row
    assert isinstance(folder.find(TILE).window_start, dt.date)
    for name, values in folder.images(TILE).items():
        np.testing.assert_array_equal(values, arrays[name])


def test_a_damaged_staged_tile_counts_as_none(staging, tmp_path):
    (file,) = (tmp_path / "staging").iterdir()
    file.write_bytes(file.read_bytes()[:-200])
    assert staging[0].find(TILE) is None


@pytest.mark.parametrize(
    "change",
    [{"tile_id": "dw_1.0_1.0-20180615"}, {"sha256": "ab"}, {"date": DATE + dt.timedelta(days=1)}],
)
def test_another_tile_is_not_taken_for_it(staging, change):
    assert staging[0].find(replace(TILE, **change)) is None
