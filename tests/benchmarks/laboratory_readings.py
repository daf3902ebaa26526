"""What a trained network of the laboratory says where the noisy label is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.legend import UNLABELLED
from training.batch import NetworkBatch
from training.cromss_task import CromssTask
from training.fusion import Modality
from training.networks import logits_by_modality
from training.preflight import contracts_of
from training.run_checkpoints import read_training_state
from training.run_plan import RunPlan
from training.samples import NUM_CLASSES, NolDataset
from training.selection import cross_modal_enhancement, label_confidence
from training.tally import SeparationTally

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Reading:
    """Of one modality of one network on the samples of one split.

    Attributes:
        split: "train" or "validation".
        modality: "s1" or "s2".
        follows_label: Share of the wrongly labelled pixels that are predicted as labelled.
        finds_truth: Share of them that are predicted as they are.
        confidence_auroc: How well the confidence in the label (Eq. 8, for two modalities enhanced
            by Eq. 10) tells right labels from wrong ones, before any threshold.
    """

    split: str
    modality: Modality
    follows_label: float
    finds_truth: float
    confidence_auroc: float


def read_trained_run(plan: RunPlan) -> list[Reading]:
    """Look at the last checkpoint of a run, on the samples of the plan's store."""
    task = CromssTask(
        plan.run, contracts_of(plan.run, plan.attributes), plan.seed, identity={}
    ).eval()
    task.load_state_dict(read_training_state(plan.checkpoints / "last.ckpt")["state_dict"])
    return [reading for split in SPLITS for reading in _read_split(task, plan, split)]


def _read_split(task: CromssTask, plan: RunPlan, split: str) -> list[Reading]:
    modalities = plan.run.modalities
    counts = {modality: torch.zeros(3, dtype=torch.float64) for modality in modalities}
    separation = {m: SeparationTally(NUM_CLASSES, torch.device("cpu")) for m in modalities}
    for batch in _batches(task, plan, split):
        with torch.no_grad():
            logits = logits_by_modality(task.net, batch.images)
        confidence = _confidence(logits, batch.labels_BHW)
        for modality in modalities:
            counts[modality] += _count_wrong(logits[modality], batch)
            assert batch.truth_BHW is not None
            separation[modality].add(confidence[modality], batch.labels_BHW, batch.truth_BHW)
    return [
        Reading(
            split,
            modality,
            follows_label=float(counts[modality][1] / counts[modality][0]),
            finds_truth=float(counts[modality][2] / counts[modality][0]),
            confidence_auroc=separation[modality].areas()[0],
        )
        for modality in modalities
    ]


def _batches(task: CromssTask, plan: RunPlan, split: str) -> Iterator[NetworkBatch]:
    """Full frames in the season that validation would draw."""
    truth = plan.settings.truth_store
    samples = NolDataset(plan.store, split, plan.run.modalities, plan.seed, truth)
    size = plan.run.batch_size
    for first in range(0, len(samples), size):
        places = range(first, min(first + size, len(samples)))
        yield task.preparation.evaluation_batch(samples.__getitems__(list(places)))


def _count_wrong(logits_BCHW: Tensor, batch: NetworkBatch) -> Tensor:
    """Wrongly labelled pixels: all, those predicted as labelled, those predicted as they are."""
    label_BHW, truth_BHW = batch.labels_BHW, batch.truth_BHW
    assert truth_BHW is not None
    wrong_BHW = (label_BHW != UNLABELLED) & (label_BHW != truth_BHW)
    predicted_BHW = logits_BCHW.argmax(1)
    found = [wrong_BHW, wrong_BHW & (predicted_BHW == label_BHW)]
    found.append(wrong_BHW & (predicted_BHW == truth_BHW))
    return torch.stack([pixels.sum() for pixels in found]).double()


def _confidence(logits: dict[Modality, Tensor], labels_BHW: Tensor) -> dict[Modality, Tensor]:
    alone = {name: label_confidence(values, labels_BHW) for name, values in logits.items()}
    if len(alone) == 1:
        return alone
    return {
        "s1": cross_modal_enhancement(alone["s1"], alone["s2"]),
        "s2": cross_modal_enhancement(alone["s2"], alone["s1"]),
    }
