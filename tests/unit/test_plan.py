"""The plan's arithmetic, against figures worked out by hand."""

import pytest

from pipeline.plan import assumed_kept_share, native_bytes, plan_build
from pipeline.settings import validate_settings


def test_planning_size_of_the_paper():
    settings = validate_settings({"selection": {"rule": "paper"}})
    plan = plan_build(settings, locations=250_000, kept_share=1.0)
    assert plan.shards == 3907
    # 3,906 shards of 64 (three batches of 25) and one of 16 (one batch)
    assert plan.selection_requests == 3906 * 3 + 1
    assert plan.pixel_requests == 1_000_000
    assert plan.hours == pytest.approx(1_000_000 * 2 / 40 / 3600)
    assert plan.eecu_hours == pytest.approx(1_000_000 / 3600)


def test_slow_selection_sets_the_time():
    settings = validate_settings({"plan": {"selection_latency_s": 1000.0}})
    plan = plan_build(settings, locations=64, kept_share=0.5)
    assert plan.hours == pytest.approx(3 * 1000 / 8 / 3600)


def test_native_bytes_of_the_default_patch():
    # 13 bands: 4 x 264^2, 6 x 132^2, 3 x 44^2 at 2 bytes; VV VH at 2; label at 1
    assert native_bytes(264) == 2 * (278_784 + 104_544 + 5_808) + 4 * 69_696 + 69_696


@pytest.mark.parametrize(("rule", "share"), [("paper", 103_793 / 251_079), ("dw_first", 0.86)])
def test_kept_share_before_anything_is_known(tmp_path, rule, share):
    settings = validate_settings({"results": str(tmp_path), "selection": {"rule": rule}})
    assert assumed_kept_share(settings)[0] == share


def test_kept_share_as_configured(tmp_path):
    settings = validate_settings({"results": str(tmp_path), "plan": {"kept_share": 0.25}})
    assert assumed_kept_share(settings) == (0.25, "plan.kept_share")
