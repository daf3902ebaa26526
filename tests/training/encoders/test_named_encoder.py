"""Every encoder of the table loads from its published layout and is fed as its authors fed it."""

import csv
import hashlib
import os
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import pytest
import rasterio
import segmentation_models_pytorch as smp
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from pipeline.errors import PipelineError
from pipeline.sensors import cube_bands
from pipeline.settings.encoders import WeightSettings
from tests.training.published import PUBLISHED_EXTRAS, constants, published_file, tiny_vit_file
from training.cromss.fusion import CrossModalUnet
from training.downstream.heads import build_segmenter, freeze
from training.downstream.tile_batch import TileInputs
from training.encoders.export import ExportedEncoder, export_encoders
from training.encoders.named_encoder import encoder_table, load_encoder
from training.encoders.published_weights import load_exactly, read_weights, weight_file
from training.encoders.table import EncoderEntry, find_entry, table_text
from training.encoders.vit_pyramid import VitShape, build_vit
from training.encoders.weight_files import read_checkpoint
from training.loading.inputs import UNITS, InputContract, band_names

TINY = VitShape(width=32, depth=4, heads=2)
STATISTICS = {
    band.name: {"mean": 1500.0, "std": 500.0}
    if band.sensor == "sentinel-2"
    else {"mean": -14.0, "std": 4.0}
    for sensor in ("sentinel-1", "sentinel-2")
    for band in cube_bands(sensor)
}
DOWNLOADED = [entry for entry in encoder_table() if entry.url]
RESNETS = [entry for entry in DOWNLOADED if entry.kind == "resnet50"]
TRANSFORMERS = [entry for entry in DOWNLOADED if entry.kind != "resnet50"]

REAL_RADAR = Path(
    os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real"),
    "sen1floods11_Spain_7370579/S1GRD.tif",
)


def identify(entry: EncoderEntry) -> str:
    return f"{entry.name}-{entry.modality}"


def settings_for(entry: EncoderEntry, path: Path) -> WeightSettings:
    return WeightSettings(accept_noncommercial=True, files={entry.name: path})


def load(entry: EncoderEntry, path: Path):
    return load_encoder(
        entry.name, entry.modality, settings=settings_for(entry, path), statistics=STATISTICS
    )


# --- the table ---------------------------------------------------------------------------------


def test_the_table_has_every_encoder_of_the_comparison():
    names = {(entry.name, entry.modality) for entry in encoder_table()}
    cromss = {f"cromss_{fusion}_{bands}" for fusion in ("mid", "late") for bands in (13, 9)}
    both = {"random", "imagenet", "moco", "decur", "dofa"} | cromss
    optical = {"imagenet_rgb", "dino", "satlas", "scalemae", "satmae", "satmae_pp"}
    assert names == {(name, modality) for name in both for modality in ("s1", "s2")} | {
        (name, "s2") for name in optical
    }


@pytest.mark.parametrize("entry", encoder_table(), ids=identify)
def test_every_row_is_complete_and_says_what_is_not_verified(entry):
    known = {band.name for sensor in ("sentinel-1", "sentinel-2") for band in cube_bands(sensor)}
    assert set(entry.bands) <= known and len(set(entry.bands)) == len(entry.bands)
    assert entry.source and entry.licence
    assert entry.noncommercial >= ("-NC-" in entry.licence)
    assert entry.unit == UNITS[entry.modality]
    assert bool(entry.url) == (entry.name != "random")
    lengths = {"full": 64 if entry.url else 0, "prefix": 8, "unverified": 0}
    assert len(entry.sha256) == lengths[entry.checksum]
    if entry.checksum == "prefix":
        assert f"-{entry.sha256}." in entry.url, "torch.hub names files by their checksum"
    assert bool(entry.wavelengths) == entry.kind.startswith("dofa")


def test_the_bands_of_the_inputs_are_the_bands_of_the_encoders():
    table = files("training.encoders") / "encoder_inputs.csv"
    by_inputs: dict[str, list[str]] = {}
    for row in csv.DictReader(table.read_text().splitlines()):
        by_inputs.setdefault(row["inputs"], []).append(row["band"])
    for entry in encoder_table():
        if entry.inputs != "store":
            assert tuple(by_inputs[entry.inputs]) == entry.bands, entry.name


# --- what arrives at the network ---------------------------------------------------------------

OPTICAL = {name: 600 + 200 * place for place, name in enumerate(band_names("s2"))}
"""Reflectance x 10000 of a constant image: B1 600, B2 800, ... B12 3000."""

RADAR = {"VV": -11.0, "VH": -18.0}
"""dB of a constant image."""

# By hand, from the formulas that the table names.
_SATLAS = [86, 71, 57, 43, 50, 56, 62, 87, 93]  # 255 x / 3558, thrice; then x // 32
_SSL4EO = [15, 20, 25, 30, 35, 40, 45, 51, 56, 61, 66, 71, 76]  # 255 x / 10000
_CROMSS = [46, 83, 104, 118, 119, 100, 98, 112, 110, 255, 255, 157, 210]
_CROMSS_9 = [83, 104, 118, 119, 100, 98, 112, 157, 210]
_SATMAE = [89, 116, 131, 136, 124, 125, 139, 138, 179, 230]
_RGB = [-0.6452, -0.7927, -0.8110]  # (u / 255 - m) / s of 86, 71, 57
_DOFA = [-0.3611, -0.6263, -1.0329, -0.6402, -0.7752, -0.7816, -0.6540, 0.3064, 0.8538]
_DOFA_S1 = [0.0253, -0.3124]  # amplitudes 168 and 75 of 255
_STORE_S2 = [0.05 + 0.1 * place for place in range(10)] + [1.0, 1.0, 1.0]  # (x - 500) / 2000
_STORE_S1 = [11 / 16, 4 / 16]  # (x + 22) / 16


def shares(steps):
    return [step / 255 for step in steps]


ARRIVES = {
    ("random", "s2"): _STORE_S2,
    ("random", "s1"): _STORE_S1,
    ("imagenet", "s2"): _STORE_S2,
    ("imagenet", "s1"): _STORE_S1,
    ("imagenet_rgb", "s2"): _RGB,
    ("moco", "s2"): shares(_SSL4EO),
    ("moco", "s1"): shares([146, 151]),
    ("dino", "s2"): shares(_SSL4EO),
    ("decur", "s2"): shares(_SSL4EO),
    ("decur", "s1"): shares([146, 151]),
    ("satlas", "s2"): shares(_SATLAS),
    ("scalemae", "s2"): _RGB,
    ("satmae", "s2"): shares(_SATMAE),
    ("satmae_pp", "s2"): shares(_SATMAE),
    ("dofa", "s2"): _DOFA,
    ("dofa", "s1"): _DOFA_S1,
} | {
    (f"cromss_{fusion}_{bands}", modality): shares(steps)
    for fusion in ("mid", "late")
    for bands, optical in ((13, _CROMSS), (9, _CROMSS_9))
    for modality, steps in (("s1", [146, 151]), ("s2", optical))
}


@pytest.mark.parametrize("entry", encoder_table(), ids=identify)
def test_each_encoder_gets_the_input_its_authors_trained_on(entry):
    """A constant image goes the way of every tile; a network at its end says what it was given."""
    stored = {
        "s2": torch.tensor(list(OPTICAL.values())).view(1, 13, 1, 1).expand(1, 13, 32, 32),
        "s1": torch.tensor([round(100 * db) for db in RADAR.values()], dtype=torch.int16)
        .view(1, 2, 1, 1)
        .expand(1, 2, 32, 32),
    }
    contract = entry.contract(entry.bands, STATISTICS)
    segmenter = build_segmenter("unet", _smallest(len(entry.bands)), num_classes=2).eval()
    given = []
    segmenter.encoder.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.no_grad():
        segmenter(TileInputs(contract)({entry.modality: stored[entry.modality]}, (32, 32)))
    arrived = given[0]
    assert arrived.dtype == torch.float32
    assert torch.equal(arrived, arrived[..., :1, :1].expand_as(arrived))
    assert arrived[0, :, 0, 0].tolist() == pytest.approx(
        ARRIVES[entry.name, entry.modality], abs=6e-5
    )


def _smallest(channels):
    return smp.encoders.get_encoder("resnet18", in_channels=channels, depth=5, weights=None)


def test_satlas_bytes_are_those_of_integer_division():
    """Its authors wrote clip(x // 32, 0, 255); rounding may not lose a step."""
    contract = find_entry("satlas", "s2").contract(find_entry("satlas", "s2").bands, None)
    numbers = torch.arange(0, 10_000, dtype=torch.int32)
    cube = numbers.view(1, 1, 1, -1).expand(1, 13, 1, -1)
    arrived = TileInputs(contract)({"s2": cube}, (1, len(numbers)))[0, 3, 0]
    expected = (numbers // 32).clamp(0, 255)
    assert torch.equal((arrived * 255).round().int(), expected)


@pytest.mark.skipif(not REAL_RADAR.is_file(), reason="set NOLDO_SAMPLE_DATA to real samples")
def test_a_real_radar_image_looks_to_dofa_like_those_it_was_trained_on():
    """VV first, and amplitudes rather than decibels: exchanged, the means are 1.9 and -1.4."""
    with rasterio.open(REAL_RADAR) as file:
        decibels = torch.from_numpy(file.read()).double().nan_to_num(-30.0)
    stored = (decibels * 100).round().to(torch.int16)[None]
    entry = find_entry("dofa", "s1")
    arrived = TileInputs(entry.contract(entry.bands, None))({"s1": stored}, stored.shape[-2:])
    assert arrived.mean(dim=(0, 2, 3)).abs().max() < 0.4
    assert (arrived.std(dim=(0, 2, 3)) - 1).abs().max() < 0.3


# --- published layouts -------------------------------------------------------------------------


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


@pytest.mark.parametrize("entry", TRANSFORMERS, ids=identify)
def test_transformers_load_from_their_published_layout(entry, tmp_path):
    path, expected = tiny_vit_file(entry, tmp_path, TINY)
    encoder = build_vit(entry, TINY)
    load_exactly(encoder, read_weights(entry, path), str(path))
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    segmenter = build_segmenter("fpn", encoder, 4)
    # SatMAE sees 10,800 tokens at 480 pixels, so its twin is spared that.
    size = 192 if entry.name == "satmae_pp" else 480
    segmenter(torch.rand(1, len(entry.bands), size, size)).mean().backward()
    learning = [each for each in segmenter.parameters() if each.requires_grad]
    assert all(parameter.grad is not None for parameter in learning)


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


def test_unknown_names_are_refused(tmp_path):
    entry = find_entry("moco", "s2")
    path = published_file(entry, tmp_path, extra={"adapter.weight": torch.zeros(1)})
    with pytest.raises(PipelineError, match="0 names are missing, 1 unknown.*adapter.weight"):
        load(entry, path)


@pytest.mark.parametrize(
    "entry", [find_entry("dino", "s2"), find_entry("decur", "s1")], ids=identify
)
def test_safetensors_stand_in_for_pickles(entry, tmp_path):
    state = torch.load(published_file(entry, tmp_path), weights_only=True)
    path = tmp_path / "same.safetensors"
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    encoder, _ = load(entry, path)
    assert torch.all(encoder.layer4[2].conv3.weight == constants(entry)["layer4.2.conv3.weight"])


# --- our own encoders --------------------------------------------------------------------------


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


# --- what is refused ---------------------------------------------------------------------------


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


def test_consent_opens_noncommercial_weights(tmp_path):
    entry = find_entry("scalemae", "s2")
    path = tmp_path / "local.pth"
    path.touch()
    assert weight_file(entry, settings_for(entry, path)) == path
    refused = WeightSettings(files={"scalemae": path})
    with pytest.raises(PipelineError, match="licence CC-BY-NC-4.0"):
        weight_file(entry, refused)


@pytest.fixture
def server(tmp_path):
    """A folder over HTTP; gives the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_weights_are_downloaded_once_and_checked(server, tmp_path):
    folder, address = server
    content = b"some weights"
    (folder / "weights-epoch=199.ckpt").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    settings = WeightSettings(folder=tmp_path / "kept")
    entry = replace(
        find_entry("moco", "s2"), url=f"{address}/weights-epoch%3D199.ckpt", sha256=digest[:8]
    )
    path = weight_file(entry, settings, pause_s=0)
    assert path == tmp_path / "kept" / "weights-epoch=199.ckpt" and path.read_bytes() == content
    (folder / "weights-epoch=199.ckpt").unlink()
    assert weight_file(entry, settings, pause_s=0) == path


def test_licence_and_missing_checksum_are_told(server, tmp_path, caplog):
    caplog.set_level("INFO")
    folder, address = server
    (folder / "weights.ckpt").write_bytes(b"whatever")
    entry = replace(find_entry("cromss_mid_13", "s2"), url=f"{address}/weights.ckpt")
    for _ in range(2):
        weight_file(entry, WeightSettings(folder=tmp_path / "kept"), pause_s=0)
    assert caplog.text.count("cromss_mid_13 for s2: licence unverified") == 2
    assert caplog.text.count("no checksum") == 1


def test_the_printed_table_names_every_encoder_and_its_licence():
    lines = table_text().splitlines()[1:]
    for line, entry in zip(lines, encoder_table(), strict=True):
        assert line.split()[:2] == [entry.name, entry.modality] and entry.licence in line
        assert ("needs consent" in line) == entry.noncommercial


def test_another_checksum_is_refused_and_nothing_is_kept(server, tmp_path):
    folder, address = server
    (folder / "weights.pth").write_bytes(b"something else")
    settings = WeightSettings(folder=tmp_path / "kept")
    entry = replace(find_entry("moco", "s2"), url=f"{address}/weights.pth")
    with pytest.raises(
        PipelineError, match=r"not sha256:df8b932e.*local file under evaluate.weights.files.moco"
    ):
        weight_file(entry, settings, pause_s=0)
    assert not (tmp_path / "kept" / "weights.pth").exists()


def test_without_a_network_the_way_out_is_named(tmp_path):
    entry = replace(find_entry("moco", "s2"), url="http://127.0.0.1:9/weights.pth")
    with pytest.raises(PipelineError, match="could not be fetched.*name a local file") as caught:
        weight_file(entry, WeightSettings(folder=tmp_path), pause_s=0)
    assert "\n" not in str(caught.value)


def test_a_missing_local_file_is_named():
    entry = find_entry("moco", "s2")
    with pytest.raises(PipelineError, match="local file of moco, /gone/moco.pth, does not exist"):
        weight_file(entry, settings_for(entry, Path("/gone/moco.pth")))


class Bomb:
    """A pickle that would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["moco", "cromss_mid_13", "dofa"])
@pytest.mark.parametrize("place", ["top", "inside"])
def test_code_in_a_file_is_never_run(name, place, tmp_path):
    trace, path = tmp_path / "ran", tmp_path / "weights.pth"
    bomb = Bomb(trace)
    torch.save(bomb if place == "top" else {"state_dict": {"net.encoder.a": bomb}}, path)
    with pytest.raises(PipelineError, match="nothing was run") as caught:
        load(find_entry(name, "s2"), path)
    assert not trace.exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 3000])
def test_truncated_files_are_one_line(suffix, kept, tmp_path):
    entry = find_entry("moco", "s1")
    path = tmp_path / f"weights{suffix}"
    tensors = {"conv1.weight": torch.rand(64, 2, 7, 7)}
    torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(PipelineError, match="damaged") as caught:
        load(entry, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {}, {"conv1.weight": 3}, {"model": {}}, "text"])
def test_files_of_something_else_are_one_line(content, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(PipelineError, match="holds no tensors|another layout") as caught:
        load(find_entry("moco", "s2"), path)
    assert "\n" not in str(caught.value)


def test_too_few_bands_are_named_with_both_shapes(tmp_path):
    path = published_file(find_entry("moco", "s1"), tmp_path)
    with pytest.raises(
        PipelineError, match="conv1.weight is 64x2x7x7, the network takes 64x13x7x7"
    ):
        load(find_entry("moco", "s2"), path)
    path = published_file(find_entry("cromss_mid_9", "s2"), tmp_path)
    with pytest.raises(PipelineError, match="takes 9 bands of s2, 13 were asked for"):
        load(find_entry("cromss_mid_13", "s2"), path)


def test_the_layout_of_another_encoder_is_refused(tmp_path):
    path = published_file(find_entry("cromss_mid_13", "s2"), tmp_path)
    with pytest.raises(PipelineError, match="network of mid fusion, cromss_late_13 is another"):
        load(find_entry("cromss_late_13", "s2"), path)
    with pytest.raises(PipelineError, match="another layout: 318 names are missing"):
        load(find_entry("moco", "s2"), path)


def test_settings_forbid_what_they_do_not_know():
    with pytest.raises(ValidationError):
        WeightSettings.model_validate({"accept_noncomercial": True})


def test_every_layout_is_tested_with_its_leftovers():
    assert set(PUBLISHED_EXTRAS) == {entry.keys for entry in DOWNLOADED}
