"""Heads fit any encoder and any size, say how deep they look, and leave frozen encoders alone."""

import copy
import pickle

import pytest
import segmentation_models_pytorch as smp
import torch

from pipeline.errors import PipelineError
from training.downstream.heads import build_segmenter, freeze
from training.encoders.table import find_entry
from training.encoders.vit_pyramid import DofaPyramid, SatMaePyramid, ScaleMaePyramid, VitShape

HEADS = ("pspnet", "deeplabv3plus", "fpn", "upernet", "unet")
TINY = VitShape(width=32, depth=4, heads=2)


def convolutional(channels=3):
    return smp.encoders.get_encoder("resnet18", in_channels=channels, depth=5, weights=None)


def every_kind():
    return {
        "resnet": convolutional(10),
        "scalemae": ScaleMaePyramid(10, TINY),
        "satmae": SatMaePyramid(10, TINY, size=64, group_width=8),
        "dofa": DofaPyramid(tuple(0.4 + 0.1 * band for band in range(10)), TINY, size=64),
    }


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def train_a_little(segmenter, channels, size=64, steps=2):
    trained = [parameter for parameter in segmenter.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.01)
    for step in range(steps):
        segmenter.train()
        image = torch.randn(2, channels, size, size, generator=torch.manual_seed(step)) + 3
        optimizer.zero_grad()
        segmenter(image).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("task_head", HEADS)
@pytest.mark.parametrize("size", [(64, 64), (70, 51), (102, 102)])
def test_logits_have_the_size_of_the_image(task_head, size):
    segmenter = build_segmenter(task_head, convolutional(), num_classes=9).eval()
    assert segmenter(torch.rand(1, 3, *size)).shape == (1, 9, *size)


@pytest.mark.parametrize("task_head", ["pspnet", "fpn", "upernet", "unet"])
@pytest.mark.parametrize("kind", ["scalemae", "satmae", "dofa"])
def test_transformers_take_every_head_but_the_dilated_one(task_head, kind):
    segmenter = build_segmenter(task_head, every_kind()[kind], num_classes=4).eval()
    assert segmenter(torch.rand(1, 10, 70, 64)).shape == (1, 4, 70, 64)
    assert segmenter.encoder_depth == 5


LIBRARY = {
    "pspnet": (smp.PSPNet, {}),
    "deeplabv3plus": (smp.DeepLabV3Plus, {}),
    "fpn": (smp.FPN, {}),
    "upernet": (smp.UPerNet, {}),
    "unet": (smp.Unet, {}),
}


@pytest.mark.parametrize("task_head", HEADS)
@pytest.mark.parametrize("depth", [None, 5])
def test_networks_equal_those_of_the_library(task_head, depth):
    """Same names, same logits: what is put together here is the library's own network."""
    build, options = LIBRARY[task_head]
    if task_head == "pspnet" and depth == 5:
        options = {"encoder_depth": 5, "upsampling": 32}
    theirs = build("resnet18", encoder_weights=None, in_channels=3, classes=5, **options).eval()
    ours = build_segmenter(task_head, convolutional(), 5, depth).eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 96, 96, generator=torch.manual_seed(0))
    torch.testing.assert_close(ours(image), theirs(image))


def test_pspnet_sees_three_stages_unless_told():
    shallow = build_segmenter("pspnet", convolutional(), 5)
    assert shallow.encoder_depth == 3 and shallow.multiple == 8
    train_a_little(shallow, channels=3, steps=1)
    idle = [
        name
        for name, parameter in shallow.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert idle == []
    assert not any(parameter.requires_grad for parameter in shallow.encoder.layer4.parameters())
    deep = build_segmenter("pspnet", convolutional(), 5, encoder_depth=5)
    assert deep.encoder_depth == 5 and deep.multiple == 32
    train_a_little(deep, channels=3, steps=1)
    assert all(parameter.grad is not None for parameter in deep.parameters())


def test_padding_repeats_the_edge_and_is_cut_off_again():
    """510 pixels become 512, one on each side, as in the released data."""
    segmenter = build_segmenter("fpn", convolutional(), 3).eval()
    image = torch.rand(1, 3, 62, 62, generator=torch.manual_seed(1))
    by_hand = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
    torch.testing.assert_close(segmenter(image), segmenter(by_hand)[..., 1:-1, 1:-1])


@pytest.mark.parametrize("kind", every_kind())
def test_frozen_means_no_parameter_and_no_buffer_moves(kind):
    encoder = freeze(every_kind()[kind])
    before = state(encoder)
    segmenter = build_segmenter("upernet", encoder, 4)
    head_before = state(segmenter.decoder)
    train_a_little(segmenter, channels=10)
    assert not encoder.training and not any(module.training for module in encoder.modules())
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    moved = [
        n for n, t in segmenter.decoder.state_dict().items() if not torch.equal(t, head_before[n])
    ]
    assert moved


@pytest.mark.parametrize("kind", every_kind())
def test_without_freezing_the_encoder_learns(kind):
    encoder = every_kind()[kind]
    before = state(encoder)
    train_a_little(build_segmenter("upernet", encoder, 4), channels=10)
    learnt = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    after = encoder.state_dict()
    still = [name for name in learnt if torch.equal(after[name], before[name])]
    assert still == []


def test_frozen_survives_copies_and_pickles():
    encoder = freeze(convolutional())
    for copied in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert not copied.train().training
        copied.train()
        assert not copied.bn1.training and encoder.bn1 is not copied.bn1


@pytest.mark.parametrize(
    "task_head, kind, depth, message",
    [
        ("segnet", "resnet", None, "no head 'segnet'; choose one of pspnet"),
        (
            "deeplabv3plus",
            "satmae",
            None,
            "which SatMaePyramid does not allow",
        ),
        ("pspnet", "resnet", 2, "set encoder_depth to 3 or 4 or 5"),
        ("fpn", "resnet", 3, "set encoder_depth to 5"),
        ("pspnet", "dofa", 3, "cannot use 3 stages of DofaPyramid; set encoder_depth to 5"),
    ],
)
def test_what_cannot_work_is_said(task_head, kind, depth, message):
    with pytest.raises(PipelineError, match=message):
        build_segmenter(task_head, every_kind()[kind], 4, depth)


@pytest.mark.parametrize(
    "name, depth", [("mobilenet_v2", 3), ("mit_b0", 3), ("tu-resnet18", 5), ("densenet121", 5)]
)
def test_other_encoders_of_the_library_fit_as_well(name, depth):
    encoder = smp.encoders.get_encoder(name, in_channels=3, depth=5, weights=None)
    segmenter = build_segmenter("pspnet", encoder, 4)
    assert segmenter.encoder_depth == depth
    train_a_little(segmenter, channels=3, steps=1)
    assert all(each.grad is not None for each in segmenter.parameters() if each.requires_grad)


def test_kinds_of_the_table_are_the_kinds_tested_here():
    kinds = {find_entry(name, "s2").kind for name in ("moco", "scalemae", "satmae", "dofa")}
    assert {kind.split("_")[0] for kind in kinds} == {"resnet50", "scalemae", "satmae", "dofa"}
