"""Arrays of another place, upside down or transposed are found; water and few scenes are let be."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.verify.displacement import REACH
from pipeline.verify.ground import conclude_ground
from pipeline.verify.pairs import PairKey, merge_seasons, pooled

S1 = PairKey("alignment", "", "s1", "the 10 m bands", 0, 10)


def pools(scenes, contrast, seasons=4):
    """Sums over noisy correlation surfaces that are higher in place by so much."""
    rng = np.random.default_rng(5)
    summed = {}
    for scene in range(scenes):
        surface = rng.normal(0.05, 0.05, (2 * REACH + 1, 2 * REACH + 1))
        surface[REACH, REACH] += contrast
        key = S1._replace(season=scene % seasons)
        summed[key] = summed.get(key, 0) + pooled(surface)
    return merge_seasons(summed)


def upside_down(scene):
    return replace(scene, s2_20m=scene.s2_20m[:, ::-1])


def shuffled(scene):
    """Noise without any edge, as open water is."""
    rng = np.random.default_rng(0)
    dark = {
        name: rng.integers(200, 260, getattr(scene, name).shape).astype(np.uint16)
        for name in ("s2_10m", "s2_20m", "s2_60m")
    }
    return replace(scene, **dark)


@pytest.mark.parametrize(("change", "expected"), [(upside_down, {("0005", 1)}), (shuffled, set())])
def test_one_scene_with_an_array_upside_down(changed, verified, change, expected):
    found = [one for one in verified(changed(change, [5], [1])).findings if one.check == "ground"]
    assert {(one.sample_id, one.season) for one in found} == expected
    assert {one.array for one in found} <= {"s2_20m"}


def test_radar_of_other_places_is_found_over_the_store():
    assert conclude_ground(pools(160, contrast=0.1)) == []
    (finding,) = conclude_ground(pools(160, contrast=0.0))
    assert (finding.array, finding.season, finding.sample_id) == ("s1", None, "")
    assert "shows other ground than the 10 m bands" in finding.message


def test_few_scenes_are_not_judged_over_the_store():
    assert conclude_ground(pools(39, contrast=0.0)) == []


def test_a_season_is_named_where_the_others_fit():
    mixed, sound = pools(50, 0.0, seasons=1), pools(150, 0.1)
    season = {key._replace(season=3): values for key, values in mixed.items() if key.season == 0}
    found = conclude_ground(sound | season)
    assert [one.season for one in found] == [3]
