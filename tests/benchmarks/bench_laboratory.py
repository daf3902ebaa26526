"""The laboratory: do the weights find wrong labels, and does selection help? Truth tells.

    python -m tests.benchmarks.bench_laboratory [--folder F] [--page docs/laboratory.md]

Builds a store of the simulated Earth and the truth behind its labels, trains the six models of the
paper's ablation under several seeds, then a few diagnoses, and prints tables. What is finished in
the folder is used again, so the same command goes on where it was stopped. There is no limit to
meet: what it finds is what it reports.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.laboratory_stores import write_variants
from tests.benchmarks.laboratory_tables import Laboratory, insert_into_page, write_report
from tests.workflow.conftest import ROOT

DATASET: dict[str, Any] = {
    "name": "laboratory",
    "grid": {"pixels": 96},
    "locations": {
        "sampler": "area",
        "area": "POLYGON ((11.2 47.2, 12.8 47.2, 12.8 48.6, 11.2 48.6, 11.2 47.2))",
        "count": 128,
        "validation_share": 0.25,
    },
    "store": {"shard_size": 16},
}
"""Alps and their foreland, where all nine classes occur; patches of 960 m."""

PAPER_EPOCHS, PAPER_RAMP, PAPER_PATIENCE = 200, 80, 30
"""Schedules of the paper; ours take the same shares of the epochs."""

PLAIN = {"enabled": False}

ABLATION: dict[str, dict[str, Any]] = {
    "single_s1": {"model": "single_s1", "selection": PLAIN},
    "single_s2": {"model": "single_s2", "selection": PLAIN},
    "midF_plain": {"model": "mid", "selection": PLAIN},
    "lateF_plain": {"model": "late", "selection": PLAIN},
    "midF": {"model": "mid"},
    "lateF": {"model": "late"},
}

DIAGNOSES: dict[str, dict[str, Any]] = {
    "midF_true_labels": {"model": "mid", "selection": PLAIN},
    "midF_only_right": {"model": "mid", "selection": PLAIN},
    "midF_early_ramp": {"model": "mid", "selection": {"ramp_epochs": 1}},
    "lateF_no_consistency": {"model": "late", "selection": PLAIN, "consistency_weight": 0.0},
}
"""What true labels would give; perfect selection; selection from the start; no consistency."""

NOISY = "nol"
STORE_OF = {"midF_true_labels": "true_labels", "midF_only_right": "only_right"}
"""Variant of the store that a diagnosis trains on."""


@dataclass(frozen=True)
class Training:
    """One process to start."""

    run: str
    seed: int
    store: Path


def main() -> None:
    """Build, train, tell."""
    options = parse_arguments()
    folder = options.folder.resolve()
    built = build_dataset(folder)
    most_seeds = max(options.seeds, options.diagnosis_seeds)
    settings = {
        seed: write_settings(folder, seed, options.epochs, options.encoder)
        for seed in range(most_seeds)
    }
    seeds = {run: range(options.seeds) for run in ABLATION}
    seeds |= {run: range(options.diagnosis_seeds) for run in DIAGNOSES}
    queue = [
        Training(run, seed, built / f"{STORE_OF.get(run, NOISY)}.zarr")
        for seed in range(most_seeds)
        for run in seeds
        if seed in seeds[run]
    ]
    if not options.report_only:
        with ThreadPoolExecutor(options.processes) as pool:
            list(pool.map(lambda training: train(training, settings[training.seed], folder), queue))
    finished = {run: [s for s in seeds[run] if is_finished(folder, run, s)] for run in seeds}
    laboratory = Laboratory(folder, built / f"{NOISY}.zarr", built / "truth.zarr", finished)
    report = write_report(laboratory)
    print(report)
    if options.page is not None:
        insert_into_page(options.page, report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("results/laboratory"))
    parser.add_argument("--processes", type=int, default=3, help="trainings side by side")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--encoder", default="tu-mobilenetv3_small_050", help="small: it is a CPU")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--diagnosis-seeds", type=int, default=1)
    parser.add_argument("--report-only", action="store_true", help="tell what is finished by now")
    parser.add_argument("--page", type=Path, help="document whose tables are replaced")
    return parser.parse_args()


def build_dataset(folder: Path) -> Path:
    """The store, its truth and its variants; nothing is made twice."""
    folder.mkdir(parents=True, exist_ok=True)
    configfile = folder / "configuration.yaml"
    configfile.write_text(yaml.safe_dump(DATASET))
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    where = ["--directory", str(folder), "--configfile", str(configfile), "--cores", "2"]
    run_quietly([*snakemake, *where, "--", "build_nol", "truth"], folder / "build.log")
    built = folder / "results" / DATASET["name"]
    write_variants(built)
    return built


def write_settings(folder: Path, seed: int, epochs: int, encoder: str) -> Path:
    """Settings of all runs under one seed."""
    common = {
        "encoder": encoder,
        "crop": 64,
        "batch_size": 8,
        "epochs": epochs,
        "learning_rate": 3e-3,
        "plateau_patience": round(epochs * PAPER_PATIENCE / PAPER_EPOCHS),
    }
    ramp = {"ramp_epochs": round(epochs * PAPER_RAMP / PAPER_EPOCHS)}
    runs = {
        name: common | recipe | {"selection": ramp | recipe.get("selection", {})}
        for name, recipe in (ABLATION | DIAGNOSES).items()
    }
    pretrain = {
        "accelerator": "cpu",
        "workers": 0,
        "panel_samples": 0,
        "panels_every": epochs,
        "checkpoint_every": epochs,
        "truth_store": str(folder / "results" / DATASET["name"] / "truth.zarr"),
        "runs": runs,
    }
    path = folder / f"settings-{seed}.yaml"
    path.write_text(yaml.safe_dump({"seed": seed, "pretrain": pretrain}))
    return path


def train(training: Training, settings: Path, folder: Path) -> None:
    """One run in a process of its own; a finished one ends at once."""
    output = folder / "runs" / f"{training.run}-{training.seed}"
    output.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "training.pretrain", "--settings", str(settings)]
    command += ["--run", training.run, "--store", str(training.store), "--output", str(output)]
    started = time.monotonic()
    run_quietly(command, output / "pretrain.log")
    seconds = time.monotonic() - started
    print(f"{training.run}, seed {training.seed}: {seconds:.0f} s", file=sys.stderr, flush=True)


def is_finished(folder: Path, run: str, seed: int) -> bool:
    """Encoders are the last that a run writes."""
    return any((folder / "runs" / f"{run}-{seed}" / "encoders").glob("*.safetensors"))


def run_quietly(command: list[str], log: Path) -> None:
    """Run a command in one thread; its words go to a file, and to the reader if it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        process = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")


if __name__ == "__main__":
    main()
