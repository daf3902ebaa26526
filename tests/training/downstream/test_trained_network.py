"""A trained network comes back from its file; no other file passes for one."""

import json

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.errors import PipelineError
from training.downstream.heads import build_segmenter
from training.downstream.trained_network import (
    FORMAT,
    NetworkDescription,
    read_network,
    read_network_weights,
    write_network,
)
from training.loading.inputs import InputContract

CONTRACT = InputContract("s1", ("VV", "VH"), "dB", "clip2std", (-12.0, -20.0), (5.0, 6.0))


def description(encoder="resnet18", **changes):
    values = {
        "encoder": encoder, "weights": "random", "contract": CONTRACT, "head": "pspnet",
        "encoder_depth": 4, "classes": ("water", "trees"), "colors": ("#000000", "#ffffff"),
        "evaluation": {"task": "dw", "seed": 3}, "simulated": True,
    }  # fmt: skip
    return NetworkDescription(**values | changes)


def built(encoder="resnet18", depth=4):
    bare = smp.encoders.get_encoder(encoder, in_channels=2, depth=5, weights=None)
    return build_segmenter("pspnet", bare, 2, depth)


# The second has "vit" in its name and is no vision transformer of ours.
@pytest.mark.parametrize(("encoder", "depth"), [("resnet18", 4), ("tu-mobilevitv2_050", None)])
def test_a_network_is_the_same_after_writing(tmp_path, encoder, depth):
    network = built(encoder, depth).eval()
    path = tmp_path / "network.safetensors"
    write_network(path, network, description(encoder, encoder_depth=depth))
    found, said = read_network(path)
    assert said == description(encoder, encoder_depth=depth) and not found.training
    image = torch.rand(1, 2, 64, 64, generator=torch.manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(found(image), network(image))
    assert [file.name for file in tmp_path.iterdir()] == ["network.safetensors"]


def test_everything_needed_stands_in_the_file(tmp_path):
    write_network(tmp_path / "n.safetensors", built(), description())
    with safe_open(tmp_path / "n.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == FORMAT
    assert json.loads(metadata["description"])["contract"]["bands"] == ["VV", "VH"]


def test_other_files_are_told(tmp_path):
    path = tmp_path / "n.safetensors"
    with pytest.raises(PipelineError, match="with its seed in evaluate.kept_seeds"):
        read_network_weights(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(PipelineError, match="holds no trained network of ours"):
        read_network_weights(path)
    path.write_bytes(b"rubbish")
    with pytest.raises(PipelineError, match="is damaged"):
        read_network_weights(path)
    write_network(path, built(), description("resnet34"))
    with pytest.raises(PipelineError, match="does not fit its own description"):
        read_network(path)
