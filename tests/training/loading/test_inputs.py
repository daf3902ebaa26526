"""Scaling equals the released numbers; contracts say what is missing."""

import json

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.sensors import cube_bands
from tests.training.released import FLOAT32_LIMIT, assert_close, vectors
from training.loading.inputs import InputContract, InputScaling, band_names, contract_of


def released_contract(modality, bands, scaling):
    numbers = vectors("normalise")
    mean, std = ("S1_MEAN", "S1_STD") if modality == "s1" else ("S2C_MEAN", "S2C_STD")
    every = band_names(modality)
    chosen = [every.index(band) for band in bands]
    return InputContract(
        modality,
        tuple(bands),
        "",
        scaling,
        tuple(numbers[mean][chosen].tolist()),
        tuple(numbers[std][chosen].tolist()),
    )


@pytest.mark.parametrize("bands", [9, 13])
def test_bytes_of_sentinel_2_equal_the_released_ones(bands):
    names = band_names("s2", bands)
    every = band_names("s2")
    raw = vectors("normalise")["s2"][[every.index(name) for name in names]].float()
    scaled = InputScaling(released_contract("s2", names, "clip2std_uint8"))(raw[None])[0]
    released = vectors("normalise")
    expected = released["dwds_s2_9"] if bands == 9 else released["clip_s2_13"].float() / 255
    assert_close(scaled, expected, FLOAT32_LIMIT)


def test_bytes_of_sentinel_1_equal_the_released_ones():
    raw = vectors("normalise")["s1_f32"]
    scaled = InputScaling(released_contract("s1", ("VV", "VH"), "clip2std_uint8"))(raw[None])[0]
    released = vectors("normalise")["clip_s1_from_f32"].float() / 255
    assert_close(scaled, released, FLOAT32_LIMIT)


def test_plain_scaling_keeps_what_bytes_cut_away():
    contract = InputContract("s1", ("VV",), "dB", "clip2std", (-10.0,), (5.0,))
    values = torch.tensor([-327.68, -20.0, -10.0, -0.001, 30.0]).view(1, 1, 1, -1)
    scaled = InputScaling(contract)(values).flatten()
    assert scaled.tolist() == pytest.approx([0.0, 0.0, 0.5, 0.99995, 1.0])
    coarse = InputScaling(
        InputContract.from_dict(contract.to_dict() | {"scaling": "clip2std_uint8"})
    )
    assert coarse(values).flatten().tolist() == pytest.approx([0, 0, 127 / 255, 254 / 255, 1])


def test_contracts_survive_json():
    contract = released_contract("s2", band_names("s2", 9), "clip2std")
    assert InputContract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


def test_nine_bands_are_a_part_of_the_thirteen_in_order():
    every = [band.name for band in cube_bands("sentinel-2")]
    nine = band_names("s2", 9)
    assert len(nine) == 9 and [name for name in every if name in nine] == list(nine)


def statistics(**changes):
    numbers = {"VV": {"mean": -10.0, "std": 4.0}, "VH": {"mean": -17.0, "std": 5.0}}
    return numbers | {"B2": {"mean": 1000.0, "std": 500.0}} | changes


def test_a_contract_takes_its_numbers_from_the_store():
    contract = contract_of("s1", ("VV", "VH"), "clip2std", statistics())
    assert contract.mean == (-10.0, -17.0) and contract.std == (4.0, 5.0)
    assert contract.unit == "dB"


@pytest.mark.parametrize(
    "modality, bands, changes, message",
    [
        ("s1", ("VV", "VH"), {"VH": {}}, "no mean and std of s1 VH"),
        ("s2", ("B2", "B3"), {}, "no mean and std of s2 B3"),
        ("s1", ("VV",), {"VV": {"mean": 1.0, "std": 0.0}}, "s1 VV has a standard deviation of 0"),
    ],
)
def test_absent_statistics_are_named(modality, bands, changes, message):
    with pytest.raises(PipelineError, match=message):
        contract_of(modality, bands, "clip2std", statistics(**changes))
