"""The table of encoders is complete, and each is fed as its authors fed it."""

import csv
import os
from importlib.resources import files
from pathlib import Path

import pytest
import rasterio
import segmentation_models_pytorch as smp
import torch

from pipeline.sensors import cube_bands
from tests.training.published import STATISTICS, identify
from training.downstream.heads import build_segmenter
from training.downstream.tile_batch import TileInputs
from training.encoders.table import encoder_table, find_entry, table_text
from training.loading.inputs import UNITS, band_names

REAL_RADAR = Path(
    os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real"),
    "sen1floods11_Spain_7370579/S1GRD.tif",
)


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


def test_the_printed_table_names_every_encoder_and_its_licence():
    lines = table_text().splitlines()[1:]
    for line, entry in zip(lines, encoder_table(), strict=True):
        assert line.split()[:2] == [entry.name, entry.modality] and entry.licence in line
        assert ("needs consent" in line) == entry.noncommercial


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
