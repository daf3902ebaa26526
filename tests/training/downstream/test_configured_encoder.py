"""An entry of the settings becomes an encoder with the contract of its input."""

import hashlib

import pytest

from pipeline.settings.encoders import WeightSettings
from pipeline.settings.evaluate import EncoderSettings
from pipeline.settings.tree import Settings
from tests.training.finished_run import write_run
from tests.training.published import published_file, settings_for
from training.downstream.configured_encoder import (
    encoder_name,
    open_encoder,
    weights_of,
    weights_sha256,
)
from training.downstream.task_tiles import valid_tiles
from training.downstream.tile_statistics import tile_statistics
from training.encoders.table import find_entry

ENTRY = find_entry("moco", "s1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "midF"
    write_run(folder)
    return folder


def test_weights_of_a_run_lie_in_its_folder(run):
    settings = Settings(results="elsewhere", name="mine")
    own = EncoderSettings(weights="run:midF", modality="s1")
    assert weights_of(settings, own) == "elsewhere/mine/runs/midF/encoders/s1.safetensors"
    file = f"{run}/encoders/s2.safetensors"
    assert weights_of(settings, EncoderSettings(weights=str(run))) == file
    assert weights_of(settings, EncoderSettings(weights=file)) == file
    assert weights_of(settings, EncoderSettings(weights="moco")) == "moco"


def test_random_weights_are_scaled_by_the_training_tiles(tile_store):
    encoder = EncoderSettings(weights="random", backbone="resnet18", bands=9)
    network, contract = open_encoder("random", encoder, WeightSettings(), tile_store, "train")
    tiles = valid_tiles(tile_store, "train")
    expected = tile_statistics(tile_store, "train", "s2", tiles)
    assert len(contract.bands) == 9 and network.conv1.in_channels == 9
    assert contract.mean == tuple(expected[band]["mean"] for band in contract.bands)
    assert contract.std == tuple(expected[band]["std"] for band in contract.bands)


def test_published_weights_keep_their_own_scaling(tile_store, tmp_path):
    settings = settings_for(ENTRY, published_file(ENTRY, tmp_path))
    chosen = EncoderSettings(weights="moco", modality="s1", bands=9)
    network, contract = open_encoder("moco", chosen, settings, tile_store, "train")
    assert contract == ENTRY.contract(ENTRY.bands, None)
    assert network.conv1.in_channels == 2, "bands speak of Sentinel-2"


def test_the_encoder_is_known_without_its_weights(run):
    kinds = {
        f"{run}/encoders/s2.safetensors": "resnet18",
        "random": "resnet34",
        "moco": "resnet50",
        "dofa": "dofa_vit_large",
        "kept/released.ckpt": "resnet50",
    }
    for weights, kind in kinds.items():
        assert encoder_name(weights, EncoderSettings(backbone="resnet34")) == kind


def test_the_bytes_behind_an_encoder_are_told(run, tmp_path):
    path = published_file(ENTRY, tmp_path)
    encoder = EncoderSettings(weights="moco", modality="s1")
    found = weights_sha256("moco", encoder, settings_for(ENTRY, path))
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    file = run / "encoders" / "s1.safetensors"
    assert weights_sha256(str(file), encoder, WeightSettings()) == (
        hashlib.sha256(file.read_bytes()).hexdigest()
    )
    assert weights_sha256("random", encoder, WeightSettings()) == ""
