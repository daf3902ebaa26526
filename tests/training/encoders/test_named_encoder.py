"""Any encoder loads by its name or path, with the contract of its input."""

import pytest
import torch

from pipeline.errors import PipelineError
from tests.training.published import STATISTICS, constants, identify, load, published_file
from training.cromss.fusion import CrossModalUnet
from training.downstream.heads import build_segmenter, freeze
from training.encoders.export import ExportedEncoder, export_encoders
from training.encoders.named_encoder import load_encoder
from training.encoders.table import encoder_table, find_entry
from training.encoders.weight_files import read_checkpoint
from training.loading.inputs import InputContract, band_names

RESNETS = [entry for entry in encoder_table() if entry.url and entry.kind == "resnet50"]


@pytest.mark.parametrize("entry", RESNETS, ids=identify)
def test_residual_networks_load_from_their_published_layout(entry, tmp_path):
    path = published_file(entry, tmp_path)
    encoder, contract = load(entry, path)
    assert contract.bands == entry.bands and encoder.out_channels[0] == len(entry.bands)
    expected = constants(entry)
    for name, tensor in encoder.state_dict().items():
        if name == "conv1.weight" and entry.name == "imagenet":
            continue
        assert torch.all(tensor == expected[name]), name
    segmenter = build_segmenter("pspnet", encoder, 4, encoder_depth=5)
    segmenter(torch.rand(2, len(entry.bands), 64, 64)).mean().backward()
    assert all(parameter.grad is not None for parameter in segmenter.parameters())


def test_a_transformer_of_full_size_loads_by_name(tmp_path):
    entry = find_entry("satmae", "s2")
    encoder, contract = load(entry, published_file(entry, tmp_path))
    assert contract.bands == entry.bands
    expected = constants(entry)
    for name, tensor in encoder.state_dict().items():
        assert torch.all(tensor == expected[name]), name


@pytest.mark.parametrize("size, task_head", [(496, "deeplabv3plus"), (480, "fpn"), (256, "pspnet")])
def test_the_tasks_run_at_their_size(size, task_head):
    encoder, _ = load_encoder("random", "s2", statistics=STATISTICS)
    segmenter = build_segmenter(task_head, freeze(encoder), 9)
    logits = segmenter(torch.rand(2, 13, size, size))
    logits.mean().backward()
    assert logits.shape == (2, 9, size, size)


def test_imagenet_spreads_its_first_convolution_over_the_bands(tmp_path):
    entry = find_entry("imagenet", "s2")
    path = published_file(entry, tmp_path)
    state = torch.load(path, weights_only=True)
    state["conv1.weight"] = torch.randn(64, 3, 7, 7)
    torch.save(state, path)
    encoder, _ = load(entry, path)
    kernel = encoder.conv1.weight
    torch.testing.assert_close(kernel[:, 4], state["conv1.weight"][:, 1] * 3 / 13)


@pytest.fixture
def run(tmp_path):
    network = CrossModalUnet("mid", "resnet18", 2, 9, 4)
    descriptions = {
        modality: ExportedEncoder(
            encoder="resnet18",
            contract=InputContract(
                modality, band_names(modality, 9), "unit", "clip2std", (1.0,) * n, (2.0,) * n
            ),
            run="midF",
            epoch=3,
            code_version="1",
            store_hash="abc",
            simulated=True,
        )
        for modality, n in (("s1", 2), ("s2", 9))
    }
    export_encoders(tmp_path / "midF" / "encoders", network, descriptions)
    return network, tmp_path / "midF"


@pytest.mark.parametrize("modality", ["s1", "s2"])
def test_runs_load_by_folder_and_by_file(run, modality):
    network, folder = run
    wanted = network.encoders[modality].state_dict()
    for path in (folder, folder / "encoders" / f"{modality}.safetensors"):
        encoder, contract = load_encoder(str(path), modality)
        assert contract.scaling == "clip2std" and contract.mean == (1.0,) * len(contract.bands)
        for name, tensor in encoder.state_dict().items():
            assert torch.equal(tensor, wanted[name])


def test_a_released_checkpoint_loads_by_path_with_the_released_scaling(tmp_path):
    entry = find_entry("cromss_late_9", "s2")
    encoder, contract = load_encoder(str(published_file(entry, tmp_path)), "s2", 9)
    assert contract == entry.contract(entry.bands, None)
    assert torch.all(encoder.layer1[0].conv1.weight == constants(entry)["layer1.0.conv1.weight"])


def test_our_checkpoints_are_refused_for_their_exports(tmp_path):
    network = CrossModalUnet("mid", "resnet18", 2, 13, 4)
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {f"net.{k}": v for k, v in network.state_dict().items()}}, path)
    assert not read_checkpoint(path).released
    with pytest.raises(PipelineError, match=r"give encoders/s2.safetensors of the same run"):
        load_encoder(str(path), "s2")


def test_random_weights_take_any_bands_and_backbone_and_follow_the_seed():
    torch.manual_seed(3)
    first, contract = load_encoder(
        "random", "s2", ("B8", "B4"), statistics=STATISTICS, backbone="resnet18"
    )
    torch.manual_seed(3)
    second, _ = load_encoder(
        "random", "s2", ("B8", "B4"), statistics=STATISTICS, backbone="resnet18"
    )
    assert contract.bands == ("B8", "B4")
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    nine, contract = load_encoder("random", "s2", 9, statistics=STATISTICS, backbone="resnet18")
    assert contract.bands == band_names("s2", 9) and nine.conv1.in_channels == 9


@pytest.mark.parametrize(
    "name, modality, options, message",
    [
        ("mocco", "s2", {}, "no encoder 'mocco' and no such file; for s2 there are random"),
        ("dino", "s1", {}, "dino exists for s2 only, not s1"),
        ("satlas", "s2", {"bands": 13}, "satlas takes 9 bands .B4 B3 B2.*not 13; leave bands out"),
        ("moco", "s2", {"bands": ("B2", "B3")}, "takes 13 bands"),
        ("random", "s2", {"bands": 7}, "takes 13 bands"),
        ("random", "s2", {"backbone": "resnet5"}, "no encoder 'resnet5'"),
        ("random", "s2", {"backbone": "tu-nothing"}, "no encoder 'tu-nothing' of five stages"),
        ("random", "s2", {"backbone": "tu-vit_tiny_patch16_224"}, "no encoder 'tu-vit_tiny"),
        ("random", "s2", {"statistics": None}, "no mean and std of s2 B1"),
        ("moco", "s2", {"backbone": "resnet18"}, "moco are of a resnet50, not resnet18"),
        (
            "scalemae",
            "s2",
            {},
            "scalemae must not be used commercially.*evaluate.weights.accept_noncommercial: true",
        ),
        ("satmae_pp", "s2", {}, "must not be used commercially"),
        ("nowhere/s2.safetensors", "s2", {}, "does not exist"),
        ("nowhere.ckpt", "s2", {}, "nowhere.ckpt does not exist"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(name, modality, options, message):
    with pytest.raises(PipelineError, match=message) as caught:
        load_encoder(name, modality, **({"statistics": STATISTICS} | options))
    assert "\n" not in str(caught.value)
