"""What counts as missing or impossible is what the store's own build or import accepted."""

from dataclasses import replace

import numpy as np

from pipeline.importers.noldo import import_noldo
from tests.unit.importers.test_tiles import osm_archive
from tests.unit.verify.painted_store import relabelled, set_attributes


def loud(scene):
    """A twentieth of the pixels beyond 30 dB."""
    radar = scene.s1.copy()
    radar[0, ::20] = 3500
    return replace(scene, s1=radar)


def glaring(share):
    """So many of the pixels of one band beyond what clouds reflect."""

    def change(scene):
        optical = scene.s2_10m.copy()
        bright = optical[0].reshape(-1)
        bright[: round(share * optical.size)] = 30_000
        return replace(scene, s2_10m=optical)

    return change


def test_reflectance_beyond_clouds_is_told_unless_it_is_a_glint(changed, verified):
    store = changed(glaring(0.02), [1], [2])
    (finding,) = (one for one in verified(store).findings if one.check == "ranges")
    assert (finding.array, finding.sample_id, finding.season) == ("s2_10m", "0001", 2)
    assert (finding.value, finding.limit) == ("2.0% of the values above 28000", "1.0%")
    assert not any(
        one.check == "ranges" for one in verified(changed(glaring(0.005), [1], [2])).findings
    )


def test_echoes_are_judged_by_the_limits_that_the_store_was_built_with(changed, verified):
    store = changed(loud, [0, 1], [3])
    findings = [one for one in verified(store).findings if one.check == "ranges"]
    assert [(one.array, one.season, one.limit) for one in findings] == [("s1", 3, "2.0%")] * 2
    set_attributes(store, settings={"quality": {"s1_ceiling_db": 40.0}})
    assert not any(one.check == "ranges" for one in verified(store).findings)
    set_attributes(store, settings={"quality": {"s1_implausible_share_max": 0.1}})
    assert not any(one.check == "ranges" for one in verified(store).findings)


def test_labels_may_lack_in_a_season_but_not_in_all(changed, verified):
    lost = relabelled(dict.fromkeys(range(9), 255))
    assert not any(one.check == "validity" for one in verified(changed(lost, [2], [0])).findings)


def test_a_sample_without_any_label_is_a_lost_one(changed, verified):
    lost = relabelled(dict.fromkeys(range(9), 255))
    (finding,) = (one for one in verified(changed(lost, [2])).findings if one.check == "validity")
    assert (finding.array, finding.sample_id) == ("label", "0002")


def test_released_tiles_may_lack_the_labels_beside_their_own(tmp_path, verified):
    store = tmp_path / "noldo_osm.zarr"
    import_noldo("osm", [osm_archive(tmp_path / "osm.zip", "released", with_dw=False)], store)
    result = verified(store)
    assert not any(one.check in ("validity", "grids") for one in result.findings)
    compared = {check.check: check.examined for check in result.checks}
    assert compared["validity"] == 4
    assert np.isclose(compared["grids"], 2), "axes of the group; corners of others are not judged"
