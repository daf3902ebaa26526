"""Are features better than chance on real images? A linear probe and kNN on EuroSAT patches.

``python -m tests.benchmarks.bench_probe [ENCODER ...]``: every encoder named (a file of ours, or a
name of ``encoders.csv``; by default that of the demo, if it was made) is reported beside random
weights. Patches are the real ones of the sample folder (NOLDO_SAMPLE_DATA), each scored once
in five folds; the limit is chance.
"""

import os
import re
import sys
from pathlib import Path

import numpy as np
import rasterio
import torch

from pipeline.sensors import cube_bands
from pipeline.settings.evaluate import ProbeSettings
from training.downstream.features import pooled_features
from training.downstream.tile_batch import TileInputs
from training.encoders.export import read_encoder
from training.encoders.named_encoder import load_encoder
from training.probe import linear_probe, nearest_neighbours

PATCHES = Path(os.environ.get("NOLDO_SAMPLE_DATA", "../shared/data/real")) / "eurosat"
DEMO = Path("results/demo/runs/midF/encoders/s2.safetensors")
FOLDS = 5
RANDOM_SEEDS = 3
BATCH = 30


def main() -> None:
    """Print a line for each encoder."""
    torch.set_num_threads(1)
    if not PATCHES.is_dir():
        sys.exit(f"error: there are no patches in {PATCHES}; set NOLDO_SAMPLE_DATA")
    cubes, labels = read_patches()
    classes = int(labels.max()) + 1
    print(f"{len(cubes)} patches, {classes} classes, chance {1 / classes:.3f}")
    named = sys.argv[1:] or [str(DEMO)] * DEMO.is_file()
    backbones = {encoder: backbone_of(encoder) for encoder in named}
    scores = [
        report("random", cubes, labels, seed, backbone)
        for backbone in sorted({"resnet50", *backbones.values()})
        for seed in range(RANDOM_SEEDS)
    ]
    scores += [report(encoder, cubes, labels, 0) for encoder in backbones]
    if min(min(pair) for pair in scores) <= 1 / classes:
        sys.exit("error: not better than chance")


def read_patches() -> tuple[torch.Tensor, np.ndarray]:
    """Cubes (N, 13, 64, 64) in our order of bands, and the class of each."""
    order = [band.name for band in cube_bands("sentinel-2")]
    cubes, names = [], []
    for path in sorted(PATCHES.glob("*/*.tif")):
        with rasterio.open(path) as file:
            found = [re.sub(r"^B0", "B", text) for text in file.descriptions]
            cubes.append(file.read()[[found.index(name) for name in order]])
        names.append(path.parent.name)
    known = sorted(set(names))
    return torch.from_numpy(np.stack(cubes)), np.array([known.index(name) for name in names])


def backbone_of(encoder: str) -> str:
    """The network of an encoder, which random weights are tried in as well."""
    is_file = encoder.endswith(".safetensors")
    return read_encoder(Path(encoder))[1].encoder if is_file else "resnet50"


def report(
    encoder: str, cubes: torch.Tensor, labels: np.ndarray, seed: int, backbone: str = "resnet50"
) -> tuple[float, float]:
    """Accuracy of the linear probe and of kNN, each patch scored by a fit on the other folds."""
    settings = ProbeSettings()
    torch.manual_seed(seed)
    network, contract = load_encoder(encoder, "s2", statistics=statistics(cubes), backbone=backbone)
    batches = ({"s2": cubes[first : first + BATCH]} for first in range(0, len(cubes), BATCH))
    features = pooled_features(network, TileInputs(contract), batches, torch.device("cpu"))
    truth = torch.from_numpy(labels)
    right = np.zeros(2)
    classes = int(labels.max()) + 1
    for fold in range(FOLDS):
        test = torch.arange(len(labels)) % FOLDS == fold
        given = (features[~test], truth[~test], features[test], classes)
        answers = (
            linear_probe(*given, settings.penalty),
            nearest_neighbours(*given, settings.neighbours),
        )
        right += [int((answer == truth[test]).sum()) for answer in answers]
    title = f"random {backbone}" if encoder == "random" else encoder
    linear, neighbours = right / len(labels)
    print(
        f"{title} (seed {seed}): linear probe {linear:.3f}, "
        f"kNN ({settings.neighbours}) {neighbours:.3f}  [more than {1 / classes:.3f}]",
        flush=True,
    )
    return float(linear), float(neighbours)


def statistics(cubes: torch.Tensor) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each band."""
    values = cubes.double()
    return {
        band.name: {"mean": float(values[:, k].mean()), "std": float(values[:, k].std())}
        for k, band in enumerate(cube_bands("sentinel-2"))
    }


if __name__ == "__main__":
    main()
