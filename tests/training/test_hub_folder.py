"""A folder for the Hub is an encoder that timm builds by itself; nothing is sent."""

import json

import pytest
import timm
import torch
from huggingface_hub import ModelCard

from pipeline.errors import PipelineError
from tests.training.finished_run import contract_of, write_run
from training.hub_folder import main


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    network = write_run(folder / "midF")
    main(["--run", str(folder / "midF"), "--output", str(folder / "hub"), "--owner", "someone"])
    return folder, network


@pytest.mark.parametrize("modality", ["s1", "s2"])
def test_timm_builds_the_trained_encoder_from_the_folder_alone(prepared, modality):
    folder, network = prepared
    encoder = timm.create_model(f"local-dir:{folder}/hub/midF-{modality}", pretrained=True).eval()
    channels = len(contract_of(modality).bands)
    image = torch.rand(1, channels, 64, 64)
    with torch.no_grad():
        expected = network.encoder(modality)(image)[-1]
        torch.testing.assert_close(encoder.forward_features(image), expected)
    assert encoder.pretrained_cfg["input_size"] == (channels, 128, 128)


def test_the_folder_has_card_contract_and_weights(prepared):
    folder, _ = prepared
    hub = folder / "hub" / "midF-s2"
    names = {path.name for path in hub.iterdir()}
    assert names == {"README.md", "model.safetensors", "config.json", "encoder.json"}
    assert "model.safetensors" in ModelCard((hub / "README.md").read_text()).text
    contract = json.loads((hub / "encoder.json").read_text())["contract"]
    assert contract["bands"] == list(contract_of("s2").bands)
    assert str(folder) not in (hub / "README.md").read_text()


def test_the_command_lists_and_prints_but_a_dry_run_makes_nothing(prepared, capsys):
    folder, _ = prepared
    output = folder / "dry"
    main(["--run", str(folder / "midF"), "--output", str(output), "--owner", "me", "--dry-run"])
    text = capsys.readouterr().out
    assert not output.exists()
    assert f"hf upload me/midF-s1 {output}/midF-s1 . --repo-type model" in text
    assert "nothing was sent" in text and "together 4 files" in text


def test_the_same_command_leaves_the_same_files_alone(prepared):
    folder, _ = prepared
    weights = folder / "hub" / "midF-s1" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    main(["--run", str(folder / "midF"), "--output", str(folder / "hub"), "--owner", "someone"])
    assert weights.stat().st_mtime_ns == before


def test_an_owner_that_the_hub_does_not_take(prepared):
    folder, _ = prepared
    with pytest.raises(PipelineError, match="is no name of a repository"):
        main(["--run", str(folder / "midF"), "--output", str(folder / "x"), "--owner", "a/b"])
