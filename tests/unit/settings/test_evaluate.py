"""The settings of the evaluation name every row once and say which files weights come from."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.settings.evaluate import EncoderSettings, EvaluateSettings
from pipeline.settings.tree import validate_settings


def test_every_evaluation_has_a_row_of_its_own():
    planned = EvaluateSettings(label_fractions=(0.1, 1.0)).planned()
    assert len({key.path for key in planned}) == len(planned) == 2 * 6 * 2 * 2 * 3
    assert planned[0].path == "dw/random_s1/frozen_0.1_0.parquet"


@pytest.mark.parametrize(
    ("key", "values", "named"),
    [
        ("seeds", [0, 1, 0], "0"),
        ("label_fractions", [0.1, 1.0, 0.1], "0.1"),
        ("label_fractions", [0.3333333, 0.33333333], "0.333333"),
        ("modes", ["frozen", "frozen"], "frozen"),
        ("tasks_used", ["dw", "dw"], "dw"),
        ("encoders_used", ["random_s1", "random_s1"], "random_s1"),
    ],
)
def test_nothing_is_evaluated_twice(key, values, named):
    with pytest.raises(PipelineError, match=f"evaluate.{key} = .*: {named} stands there twice"):
        validate_settings({"evaluate": {key: values}})


@pytest.mark.parametrize("section", [{"tasks": {"mine": {}}}, {"probe": {}}])
def test_nothing_is_scored_on_what_it_was_trained_on(section):
    ((name, value),) = section.items()
    groups = {"train_group": "test"}
    changed = {name: {"mine": groups} if value else groups}
    with pytest.raises(PipelineError, match=r"evaluate\.\S+: train_group and test_group are both"):
        validate_settings({"evaluate": changed})


def test_a_mistake_between_keys_is_said_without_the_whole_section():
    with pytest.raises(PipelineError) as caught:
        validate_settings({"evaluate": {"epochs": 7, "tasks_used": ["x"]}})
    said = "settings: evaluate: tasks_used names 'x', known are dw, osm, dfc2020"
    assert str(caught.value) == said


def test_the_file_of_an_encoder_is_a_path_or_stands_in_for_a_name(tmp_path):
    (tmp_path / "midF").mkdir()
    settings = EvaluateSettings(
        encoders={
            "file": EncoderSettings(weights="mine.safetensors"),
            "folder": EncoderSettings(weights=f"{tmp_path}/midF", modality="s1"),
            "moco": EncoderSettings(weights="moco"),
            "dino": EncoderSettings(weights="dino"),
            "run": EncoderSettings(weights="run:midF"),
        },
        encoders_used=("moco",),
        ablation=(),
        weights={"files": {"moco": Path("kept/moco.pth")}},
    )
    assert settings.local_file("file") == "mine.safetensors"
    assert settings.local_file("folder") == f"{tmp_path}/midF/encoders/s1.safetensors"
    assert settings.local_file("moco") == "kept/moco.pth"
    assert settings.local_file("dino") is None and settings.local_file("run") is None
