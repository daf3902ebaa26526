"""The plan's arithmetic, against figures worked out by hand."""

import json

import pytest

from pipeline.plan import latencies, main, native_bytes, plan_build, plan_tiles
from pipeline.plan_facts import Amount, TileCount
from pipeline.settings.tree import validate_settings

SIZES = [64] * 3906 + [16]
"""250,000 locations."""


def kept(number, least=None, most=None) -> Amount:
    return Amount(number if least is None else least, number, most or number, "a test")


def plan(settings, sizes, number):
    return plan_build(validate_settings(settings), sizes, kept(number))


def test_planning_size_of_the_paper():
    found = plan({"earthengine": {"service": "google"}}, SIZES, 250_000)
    assert found.shards == 3907
    # 3,906 shards of 64 (three batches of 25) and one of 16 (one batch)
    assert found.selection_requests == 3906 * 3 + 1
    assert str(found.pixel_requests) == "1,000,000"
    assert found.eecu_hours == pytest.approx(1_000_000 / 3600)
    # ten seconds around, one selection of 5 s before the pixels, one answer of 2 s after them
    assert found.seconds == pytest.approx(1_000_000 * 2 / 40 + 10 + 5 + 2)


def test_slow_selection_sets_the_time():
    settings = {
        "earthengine": {"service": "google"},
        "plan": {"selection_latency_s": 1000.0},
    }
    assert plan(settings, [64], 32).seconds == pytest.approx(3 * 1000 / 8 + 1000 + 10 + 2)


def test_the_limits_of_a_guess_are_told():
    requests = plan_build(validate_settings({}), [64], kept(40, least=30, most=64)).pixel_requests
    assert not requests.exact
    assert str(requests) == "160 (120 to 256)"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"earthengine": {"service": "google"}}, (5.0, 2.0)),
        ({"plan": {"pixel_latency_s": 3.0}, "earthengine": {"service": "google"}}, (5.0, 3.0)),
        ({"simulator": {"latency_s": 0.5}}, (0.5, 0.5)),
        ({}, None),
    ],
)
def test_how_long_an_answer_takes(settings, expected):
    assert latencies(validate_settings(settings)) == expected


@pytest.mark.parametrize(("slots", "remarked"), [(40, False), (400, True)])
def test_more_slots_than_a_project_usually_has_are_remarked(
    tmp_path, monkeypatch, capsys, slots, remarked
):
    engine = {"service": "google", "project": "a-project", "slots": slots}
    settings = {"name": "test", "results": str(tmp_path), "earthengine": engine}
    (tmp_path / "settings.yaml").write_text(json.dumps(settings))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["plan", "--settings", str(tmp_path / "settings.yaml")])
    main()
    output = capsys.readouterr().out
    assert f"{slots} slots" in output
    assert ("a project has 40 unless" in output) is remarked


def test_a_simulated_earth_at_full_speed_has_no_time():
    assert plan({}, [64], 64).seconds is None


def test_expert_tiles_are_asked_about_by_shard_and_fetched_one_by_one():
    settings = validate_settings(
        {"earthengine": {"service": "google"}, "osm_landuse": {"requests_per_second": 0.5}}
    )
    found = plan_tiles(settings, TileCount([32, 12], "a test"), kept(40), kept(50))
    assert found.selection_requests == 2 + 1
    assert found.pixel_requests.expected == 40
    # 15 bands of 4 bytes on 510 x 510 pixels; 13 x 2 + 2 x 2 + 1 bytes stored
    assert found.download_gb == pytest.approx(40 * 510**2 * 60 / 1e9)
    assert found.store_gb == pytest.approx(40 * 510**2 * 31 * 0.63 / 1e9)
    assert found.eecu_hours == pytest.approx(40 / 3600)
    assert found.seconds == pytest.approx(40 * 2 / 40 + 10 + 5 + 2)
    assert found.picture_seconds == 100.0


def test_native_bytes_of_the_default_patch():
    # 13 bands: 4 x 264^2, 6 x 132^2, 3 x 44^2 at 2 bytes; VV VH at 2; label at 1
    assert native_bytes(264) == 2 * (278_784 + 104_544 + 5_808) + 4 * 69_696 + 69_696
