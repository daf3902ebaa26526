import pytest
import segmentation_models_pytorch as smp
import torch

from training.cromss.fusion import CrossModalUnet, SingleModalUnet

# Of the released ResNet-50 networks.
RELEASED_PARAMETERS = {
    ("mid", 13): 56_058_521,
    ("mid", 9): 56_045_977,
    ("late", 13): 65_072_754,
    ("late", 9): 65_060_210,
}


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("fusion", "bands"), RELEASED_PARAMETERS)
def test_parameter_counts_equal_the_released_ones(fusion, bands):
    with torch.device("meta"):
        network = CrossModalUnet(fusion, s2_channels=bands)
    assert parameters(network) == RELEASED_PARAMETERS[fusion, bands]


def test_single_modal_networks_are_the_halves_of_late_fusion():
    with torch.device("meta"):
        halves = [SingleModalUnet("s1"), SingleModalUnet("s2")]
    assert sum(parameters(half) for half in halves) == RELEASED_PARAMETERS["late", 13]


@pytest.mark.parametrize("pixels", [64, 72])
@pytest.mark.parametrize("fusion", ["mid", "late"])
def test_logits_have_the_images_size(fusion, pixels):
    network = CrossModalUnet(fusion, "resnet18", s2_channels=9, num_classes=5).eval()
    logits = network(torch.rand(1, 2, pixels, pixels), torch.rand(1, 9, pixels, pixels))
    assert [tuple(z.shape) for z in logits] == [(1, 5, pixels, pixels)] * 2


@pytest.mark.parametrize("fusion", ["mid", "late"])
def test_modalities_share_decoder_and_head_in_mid_fusion_only(fusion):
    network = CrossModalUnet(fusion, "resnet18")
    logits_s1, _ = network(torch.rand(2, 2, 32, 32), torch.rand(2, 13, 32, 32))
    logits_s1.sum().backward()
    touched = {name for name, p in network.named_parameters() if p.grad is not None}
    parts = {".".join(name.split(".")[:2]) for name in touched}
    owner = "shared" if fusion == "mid" else "s1"
    assert parts == {"encoders.s1", f"decoders.{owner}", f"heads.{owner}"}


def test_mid_fusion_normalises_each_modality_by_its_own_batch_then_mixes_the_statistics():
    network = CrossModalUnet("mid", "resnet18").train()
    s1, s2 = torch.rand(2, 2, 64, 64), torch.rand(2, 13, 64, 64)
    norm = next(m for m in network.decoders.modules() if isinstance(m, torch.nn.BatchNorm2d))
    inputs = []
    norm.register_forward_hook(lambda _module, args, _out: inputs.append(args[0].detach()))
    both = network(s1, s2)
    expected = torch.zeros(norm.num_features)
    for features in inputs:
        expected = 0.9 * expected + 0.1 * features.mean((0, 2, 3))
    assert len(inputs) == 2
    torch.testing.assert_close(norm.running_mean, expected)
    torch.testing.assert_close(both[1], network.logits("s2", s2))


def test_an_encoder_fits_the_models_of_smp():
    network = CrossModalUnet("mid", "resnet18", s2_channels=9)
    for build in (smp.Unet, smp.FPN, smp.PSPNet, smp.DeepLabV3Plus):
        model = build("resnet18", encoder_weights=None, in_channels=9, classes=3)
        model.encoder.load_state_dict(network.encoder("s2").state_dict(), strict=True)


def test_an_unknown_fusion_is_named():
    with pytest.raises(ValueError, match="'early'"):
        CrossModalUnet("early")
