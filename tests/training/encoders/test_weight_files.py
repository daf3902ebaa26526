import argparse
import os

import pytest
import torch

from pipeline.errors import PipelineError
from tests.training.released import keys
from training.cromss.fusion import CrossModalUnet, SingleModalUnet
from training.encoders.weight_files import read_checkpoint

LAYOUTS = [("mid", 9), ("mid", 13), ("late", 9), ("late", 13)]


def released_state(fusion, bands):
    """Every released ResNet-50 name and shape, each tensor filled with a number of its own."""
    shapes = keys()[f"resnet50/{fusion}/{bands}B"]
    # An expanded tensor is stored as one number: a 200 MB layout in a small file.
    return {
        name: torch.tensor(float(index)).expand(shape)
        for index, (name, shape) in enumerate(shapes.items())
    }


def save_lightning(path, state):
    arguments = argparse.Namespace(fusion="mid", bands=13, smoothing=[0.15, 0.05])
    torch.save(
        {
            "epoch": 3,
            "global_step": 12,
            "pytorch-lightning_version": "2.0.8",
            "state_dict": state,
            "hyper_parameters": {"args": arguments},
            "optimizer_states": [{"state": {}, "param_groups": [{"lr": 0.005}]}],
        },
        path,
    )
    return path


@pytest.mark.parametrize(("fusion", "bands"), LAYOUTS)
def test_released_layouts_load_by_name(tmp_path, fusion, bands):
    state = released_state(fusion, bands)
    checkpoint = read_checkpoint(save_lightning(tmp_path / "released.ckpt", state))
    assert (checkpoint.layout, checkpoint.channels) == (fusion, {"s1": 2, "s2": bands})
    assert checkpoint.num_classes == 9
    with torch.device("meta"):
        network = CrossModalUnet(fusion, s2_channels=bands)
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == {
        name: tuple(t.shape) for name, t in checkpoint.weights.items()
    }
    assert len({float(t.flatten()[0]) for t in checkpoint.weights.values()}) == len(state)


@pytest.mark.parametrize(
    ("fusion", "modality", "tag"),
    [("mid", "s1", "mfs1"), ("mid", "s2", "mfs2"), ("late", "s1", "lfs1"), ("late", "s2", "lfs2")],
)
def test_released_encoders_arrive_under_the_names_the_released_code_gives_them(
    tmp_path, fusion, modality, tag
):
    released_names = keys()[f"{fusion}/{tag}/encoder"]
    shapes = keys()[f"{fusion}/state_dict"]
    state = {
        name: torch.tensor(float(index)).expand(shape)
        for index, (name, shape) in enumerate(shapes.items())
    }
    checkpoint = read_checkpoint(save_lightning(tmp_path / "released.ckpt", state))
    weights = checkpoint.encoder_weights(modality)
    assert {f"encoder.{name}" for name in weights} == set(released_names)
    for name, tensor in weights.items():
        assert torch.equal(tensor, state[released_names[f"encoder.{name}"]])


@pytest.mark.parametrize("fusion", ["mid", "late"])
def test_a_released_network_computes_the_same_as_ours(tmp_path, fusion):
    torch.manual_seed(0)
    ours = CrossModalUnet(fusion, "resnet18", s2_channels=9).eval()
    names = {
        "mid": {
            "encoders.s1": "encoder1",
            "encoders.s2": "encoder",
            "decoders.shared": "decoder",
            "heads.shared": "segmentation_head",
        },
        "late": {
            f"{ours_part}.s{i}": f"model{i}.{part}"
            for i in (1, 2)
            for ours_part, part in (
                ("encoders", "encoder"),
                ("decoders", "decoder"),
                ("heads", "segmentation_head"),
            )
        },
    }[fusion]
    state = {}
    for name, tensor in ours.state_dict().items():
        prefix = next(p for p in names if name.startswith(p + "."))
        state["net." + names[prefix] + name.removeprefix(prefix)] = tensor
    loaded = read_checkpoint(save_lightning(tmp_path / "r.ckpt", state)).network("resnet18").eval()
    images = torch.rand(1, 2, 32, 32), torch.rand(1, 9, 32, 32)
    for mine, theirs in zip(ours(*images), loaded(*images), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "network",
    [
        CrossModalUnet("mid", "resnet18"),
        CrossModalUnet("late", "resnet18", s2_channels=9, num_classes=4),
        SingleModalUnet("s1", "resnet18"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "net."])
def test_our_own_weights_come_back(tmp_path, network, prefix):
    state = {prefix + name: tensor for name, tensor in network.state_dict().items()}
    path = save_lightning(tmp_path / "own.ckpt", state)
    loaded = read_checkpoint(path).network("resnet18")
    assert type(loaded) is type(network)
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def refused(path, match):
    with pytest.raises(PipelineError, match=match) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


class Intruder:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    path, trace = tmp_path / "evil.ckpt", tmp_path / "trace"
    torch.save({"state_dict": released_state("mid", 9), "hook": Intruder(trace)}, path)
    refused(path, r"asks to run \w+\.mkdir")
    assert not trace.exists()


def test_a_namespace_cannot_smuggle_code(tmp_path):
    path, trace = tmp_path / "evil.ckpt", tmp_path / "trace"
    arguments = argparse.Namespace(hook=Intruder(trace))
    torch.save({"state_dict": {}, "hyper_parameters": {"args": arguments}}, path)
    refused(path, "asks to run")
    assert not trace.exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    whole = save_lightning(tmp_path / "whole.ckpt", released_state("mid", 9)).read_bytes()
    path = tmp_path / "cut.ckpt"
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, "damaged or no checkpoint")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "page.ckpt"
    path.write_text("<html>404 not found</html>")
    refused(path, "damaged or no checkpoint")
    refused(tmp_path / "nothing.ckpt", "does not exist")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([1, 2], "holds no state_dict"),
        ({"state_dict": 3}, "holds no state_dict"),
        ({"state_dict": {}}, "no known layout"),
        ({"state_dict": {"net.backbone.weight": torch.zeros(1)}}, "begins with backbone.weight"),
        ({"state_dict": {"encoders.s1.conv1.weight": torch.zeros(4, 2, 3, 3)}}, "head is missing"),
    ],
)
def test_other_contents_are_refused(tmp_path, content, match):
    path = tmp_path / "other.ckpt"
    torch.save(content, path)
    refused(path, match)


def test_half_a_released_layout_is_refused(tmp_path):
    state = released_state("mid", 9)
    state = {name: t for name, t in state.items() if not name.startswith("net.encoder1.")}
    refused(save_lightning(tmp_path / "half.ckpt", state), "no known layout")


def test_too_few_bands_other_modalities_and_other_networks_are_named(tmp_path):
    path = tmp_path / "s2.ckpt"
    torch.save(SingleModalUnet("s2", "resnet18", channels=9).state_dict(), path)
    checkpoint = read_checkpoint(path)
    with pytest.raises(PipelineError, match="takes 9 bands of s2, 13 were asked for"):
        checkpoint.encoder_weights("s2", 13)
    with pytest.raises(PipelineError, match="no s1 encoder; it holds s2"):
        checkpoint.encoder_weights("s1")
    with pytest.raises(PipelineError, match="64x9x7x7, the network takes 64x13x7x7"):
        checkpoint.load_into(SingleModalUnet("s2", "resnet18"))
    with pytest.raises(PipelineError, match="names differ"):
        checkpoint.network("resnet34")
