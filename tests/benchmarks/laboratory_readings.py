"""What a trained network of the laboratory says where the noisy label is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.legend import UNLABELLED
from pipeline.store.object_path import store_path
from training.cromss.fusion import Modality
from training.cromss.networks import logits_by_modality
from training.cromss.selection import (
    cross_modal_enhancement,
    label_confidence,
    segmentation_weights,
)
from training.loading.batch import NetworkBatch
from training.loading.samples import NUM_CLASSES, NolDataset
from training.run.checkpoints import read_training_state
from training.run.cromss_task import CromssTask
from training.run.plan import RunPlan
from training.run.preflight import contracts_of
from training.run.tally import SeparationTally

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Reading:
    """Of one modality of one network on the samples of one split.

    Attributes:
        split: "train" or "validation".
        modality: "s1" or "s2".
        follows_label: Share of the wrongly labelled pixels that are predicted as labelled.
        finds_truth: Share of them that are predicted as they are.
        auroc: How well numbers tell right labels from wrong ones, over the pixels of all labels;
            by what the number is, see `_candidates`.
    """

    split: str
    modality: Modality
    follows_label: float
    finds_truth: float
    auroc: dict[str, float]


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
    tallies: dict[tuple[Modality, str], SeparationTally] = {}
    for batch in _batches(task, plan, split):
        with torch.no_grad():
            logits = logits_by_modality(task.net, batch.images)
        assert batch.truth_BHW is not None
        for modality, confidence_BHW in _confidence(logits, batch.labels_BHW).items():
            counts[modality] += _count_wrong(logits[modality], batch)
            numbers = _candidates(confidence_BHW, batch.labels_BHW, plan.run.selection.ratio)
            for name, values_BHW in numbers.items():
                tally = tallies.setdefault(
                    (modality, name), SeparationTally(NUM_CLASSES, values_BHW.device)
                )
                tally.add(values_BHW, batch.labels_BHW, batch.truth_BHW)
    return [
        Reading(
            split,
            modality,
            follows_label=float(counts[modality][1] / counts[modality][0]),
            finds_truth=float(counts[modality][2] / counts[modality][0]),
            auroc={n: tally.areas()[0] for (m, n), tally in tallies.items() if m == modality},
        )
        for modality in modalities
    ]


def _candidates(confidence_BHW: Tensor, labels_BHW: Tensor, ratio: float) -> dict[str, Tensor]:
    """Numbers that could tell right labels from wrong ones.

    The confidence in the label (Eq. 8, for two modalities enhanced by Eq. 10); the weights made of
    it with a threshold for every label (Eq. 11); and with one threshold for all labels together.
    """
    joint_BHW = torch.where(labels_BHW == UNLABELLED, UNLABELLED, 0).to(labels_BHW.dtype)
    return {
        "confidence": confidence_BHW,
        "weights": segmentation_weights(confidence_BHW, labels_BHW, ratio, NUM_CLASSES),
        "joint": segmentation_weights(confidence_BHW, joint_BHW, ratio, 1),
    }


def _batches(task: CromssTask, plan: RunPlan, split: str) -> Iterator[NetworkBatch]:
    """Full frames in the season that validation would draw."""
    truth_store = plan.settings.truth_store
    truth = store_path(truth_store) if truth_store else None
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
