"""The folder of a finished run, as the pretraining leaves it, without training."""

import json
from pathlib import Path

import torch

from pipeline.fingerprints import code_version
from pipeline.settings.pretrain import PretrainRun, PretrainSettings
from training.cromss.fusion import CrossModalUnet
from training.encoders.export import ExportedEncoder, export_encoders
from training.loading.inputs import InputContract, band_names
from training.run.metric_table import Measurement, MetricTable

ENCODER = "resnet18"
SCORES = {"oa": 0.9, "aa": 0.5, "miou": 0.4, "mf1": float("nan")}


def contract_of(modality: str) -> InputContract:
    bands = band_names(modality)
    numbers = tuple(float(k + 1) for k in range(len(bands)))
    unit = {"s1": "dB", "s2": "reflectance x 10000"}[modality]
    return InputContract(modality, bands, unit, "clip2std", numbers, numbers)


def write_run(
    folder: Path, simulated: bool = True, encoder: str = ENCODER, store: str = "elsewhere/nol.zarr"
) -> CrossModalUnet:
    """Write ``run.json``, ``metrics.parquet`` and ``encoders``; the network that is in them."""
    torch.manual_seed(0)
    network = CrossModalUnet("mid", encoder).eval()
    contracts = {modality: contract_of(modality) for modality in ("s1", "s2")}
    descriptions = {
        modality: ExportedEncoder(encoder, contract, folder.name, 7, "0", "abc", simulated)
        for modality, contract in contracts.items()
    }
    export_encoders(folder / "encoders", network, descriptions)
    record = {
        "run": folder.name,
        "recipe": PretrainRun(encoder=encoder, crop=128).model_dump(mode="json"),
        "settings": PretrainSettings().model_dump(mode="json", exclude={"runs"}),
        "seed": 3,
        "code_version": code_version(),
        "store": store,
        "store_hash": "abc",
        "simulated": simulated,
        "train_samples": 1234,
        "validation_samples": 12,
        "contracts": {name: contract.to_dict() for name, contract in contracts.items()},
    }
    (folder / "run.json").write_text(json.dumps(record))
    rows = [
        Measurement(epoch, "validation", "s2", "all", metric, value - (1 - epoch) / 10)
        for epoch in (0, 1)
        for metric, value in SCORES.items()
    ]
    rows.append(Measurement(1, "validation", "s2", "Water", "iou", 0.1))
    MetricTable(folder / "metrics.parquet").add(rows)
    return network
