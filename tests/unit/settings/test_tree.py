"""Settings: defaults, every mistake at once, and the hash that says which stores may be mixed."""

import subprocess
import sys

import pytest

from pipeline.errors import PipelineError
from pipeline.settings.tree import Settings, load_settings, validate_settings


def test_an_empty_file_is_the_default(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("")
    assert load_settings(path) == Settings()


def test_all_mistakes_are_reported_together_with_path_value_and_rule():
    with pytest.raises(PipelineError) as error:
        validate_settings(
            {"gird": 1, "grid": {"pixels": 100}, "earthengine": {"slots": "many"}, "seed": -1}
        )
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "gird is not a known key (did you mean grid?)",
        "grid.pixels = 100",
        "multiple of 6",
    ):
        assert part in message
    for part in ("earthengine.slots = 'many'", "valid integer", "seed = -1", "greater than or"):
        assert part in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seasons": {"reference_dates": ["2021-06-01"] * 4}}, "must ascend"),
        (
            {
                "seasons": {
                    "reference_dates": ["2021-09-01", "2021-06-01", "2021-03-01", "2020-12-01"]
                }
            },
            "must ascend, got 2021-09-01, 2021-06-01",
        ),
        ({"seasons": {"reference_dates": ["2021-06-01"]}}, "at least 4 items"),
        ({"seasons": {"reference_dates": ["soon"] * 4}}, "seasons.reference_dates.0 = 'soon'"),
        ({"name": "../elsewhere"}, "name = '../elsewhere'"),
        ({"results": "my results"}, "results = 'my results': has characters that shells"),
        ({"locations": {"sampler": "grid"}}, "'cities', 'land', 'area'"),
        ({"store": {"shard_size": 0}}, "store.shard_size = 0"),
        ({"earthengine": {"service": "Google"}}, "earthengine.service = 'Google'"),
        ({"grid": {"pixels": 1140}}, "less than or equal to 1134"),
        ({"quality": {"s1_floor_db": float("nan")}}, "quality.s1_floor_db = nan"),
        ({"quality": {"s1_floor_db": 30.0}}, "s1_floor_db = 30 must be below s1_ceiling_db = 30"),
    ],
)
def test_each_mistake_names_its_remedy(values, words):
    with pytest.raises(PipelineError, match=None) as error:
        validate_settings(values)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not valid YAML"), ("- 1\n- 2", "must hold keys and values, got a list")],
)
def test_files_that_are_not_settings(tmp_path, text, words):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(PipelineError) as error:
        load_settings(path)
    assert words in str(error.value)


def test_a_folder_or_a_picture_in_the_place_of_settings(tmp_path):
    picture = tmp_path / "picture.yaml"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    for path, words in [(tmp_path, "cannot be read: Is a directory"), (picture, "not valid YAML")]:
        with pytest.raises(PipelineError, match=words):
            load_settings(path)


def test_a_missing_file_is_one_line_and_exit_code_1(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "pipeline.plan", "--settings", tmp_path / "none.yaml"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr == f"error: settings file {tmp_path / 'none.yaml'} does not exist\n"


def test_hash_ignores_what_changes_no_pixel():
    base = Settings().dataset_hash()
    for harmless in (
        {"name": "other", "results": "elsewhere"},
        {"locations": {"count": 4000, "leave_out": ["0000007"]}},
        {"earthengine": {"slots": 3, "attempts": 1, "request_budget": 5}},
        {"simulator": {"latency_s": 2.0, "faults": "plan.json"}},
        {"plan": {"kept_share": 0.5}},
    ):
        assert validate_settings(harmless).dataset_hash() == base, harmless


def test_hash_tells_what_changes_pixels():
    changes = [
        {},
        {"seed": 1},
        {"grid": {"pixels": 132}},
        {"selection": {"rule": "paper"}},
        {"quality": {"nodata_share_max": 0.1}},
        {"store": {"shard_size": 32}},
        {"seasons": {"shift_days": 0}},
        {"locations": {"sampler": "land"}},
        {"simulator": {"seed": 8}},
        {"earthengine": {"service": "google"}},
    ]
    hashes = {validate_settings(change).dataset_hash() for change in changes}
    assert len(hashes) == len(changes)


def test_settings_survive_yaml():
    import yaml

    settings = validate_settings({"locations": {"sampler": "area", "area": "a.geojson"}})
    text = yaml.safe_dump(settings.model_dump(mode="json"))
    assert validate_settings(yaml.safe_load(text)) == settings
