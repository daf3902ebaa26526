"""An exported encoder is the trained one, with its contract, and nothing that could run."""

import json

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file

from pipeline.errors import PipelineError
from training.cromss.fusion import CrossModalUnet
from training.encoders.export import ExportedEncoder, export_encoders, read_encoder
from training.loading.inputs import InputContract


@pytest.fixture
def exported(tmp_path):
    torch.manual_seed(0)
    network = CrossModalUnet("mid", "resnet18", s2_channels=9).eval()
    descriptions = {
        modality: ExportedEncoder(
            encoder="resnet18",
            contract=InputContract(modality, bands, "unit", "clip2std", (1.0,) * n, (2.0,) * n),
            run="midF",
            epoch=7,
            code_version="0",
            store_hash="abc",
            simulated=True,
        )
        for modality, bands in (("s1", ("VV", "VH")), ("s2", tuple("ABCDEFGHI")))
        for n in [len(bands)]
    }
    export_encoders(tmp_path, network, descriptions)
    return tmp_path, network, descriptions


@pytest.mark.parametrize("modality, channels", [("s1", 2), ("s2", 9)])
def test_encoders_come_back_as_they_were_trained(exported, modality, channels):
    folder, network, descriptions = exported
    weights, description = read_encoder(folder / f"{modality}.safetensors")
    assert description == descriptions[modality]
    encoder = smp.encoders.get_encoder("resnet18", in_channels=channels, weights=None).eval()
    encoder.load_state_dict(weights)
    image = torch.rand(1, channels, 64, 64)
    for mine, theirs in zip(encoder(image), network.encoder(modality)(image), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert json.loads((folder / f"{modality}.json").read_text())["contract"]["std"][0] == 2.0


def test_foreign_and_damaged_files_are_named(tmp_path, exported):
    with pytest.raises(PipelineError, match="does not exist"):
        read_encoder(tmp_path / "nothing.safetensors")
    save_file({"a": torch.ones(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(PipelineError, match="holds no encoder of ours"):
        read_encoder(tmp_path / "foreign.safetensors")
    (tmp_path / "s1.safetensors").write_bytes(b"\x00" * 30)
    with pytest.raises(PipelineError, match="is damaged"):
        read_encoder(tmp_path / "s1.safetensors")
