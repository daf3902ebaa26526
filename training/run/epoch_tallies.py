"""What is counted in an epoch: loss parts and weights in training, scores in validation."""

import torch
from torch import Tensor

from pipeline.legend import load_legend
from training.cromss.fusion import Modality
from training.cromss.objective import Objective
from training.loading.batch import NetworkBatch
from training.loading.samples import NUM_CLASSES
from training.run.metric_table import ALL, Measurement
from training.run.tally import ClassMeanTally, MeanTally, SeparationTally
from training.scores.metrics import ConfusionMatrix, Scores

Modalities = tuple[Modality, ...]

_WEIGHT_KINDS = ("segmentation", "consistency")


class TrainingTallies:
    """Means of the loss parts, and of the weights by class.

    Args:
        part_names: Of the objective.
        modalities: That have weights.
        device: Where to sum.
    """

    def __init__(
        self, part_names: tuple[str, ...], modalities: Modalities, device: torch.device
    ) -> None:
        self._parts = MeanTally(part_names, device)
        self._weights = {
            (modality, kind): ClassMeanTally(NUM_CLASSES, device)
            for modality in modalities
            for kind in _WEIGHT_KINDS
            if len(modalities) > 1
        }

    def add(self, objective: Objective, batch: NetworkBatch, with_weights: bool) -> None:
        """Add one batch; weights by class cost a pass over the maps, so not at every step."""
        self._parts.add(objective.parts, len(batch.sample_B))
        if with_weights:
            for key, weights_BHW in objective.weights.items():
                self._weights[key].add(weights_BHW, batch.labels_BHW)

    def measurements(self, epoch: int) -> list[Measurement]:
        """All means, over all ranks."""
        rows = _part_rows(epoch, "train", self._parts.means())
        for (modality, kind), tally in self._weights.items():
            rows += [
                Measurement(epoch, "train", modality, name, f"{kind}_weight", value)
                for name, value in zip(_class_names(), tally.means(), strict=True)
            ]
        return rows


class ValidationTallies:
    """Means of the loss parts, scores by kind of label, and how well weights tell labels apart.

    Args:
        part_names: Of the objective.
        modalities: That are scored.
        splits: Kinds of labels that are scored; the same on all ranks, also on one without samples.
        device: Where to count.
    """

    def __init__(
        self,
        part_names: tuple[str, ...],
        modalities: Modalities,
        splits: tuple[str, ...],
        device: torch.device,
    ) -> None:
        self._parts = MeanTally(part_names, device)
        self._confusion = {
            (split, modality): ConfusionMatrix(NUM_CLASSES, device=device)
            for split in splits
            for modality in modalities
        }
        self._separation = {
            (modality, kind): SeparationTally(NUM_CLASSES, device)
            for modality in modalities
            for kind in _WEIGHT_KINDS
            if len(modalities) > 1 and "truth" in splits
        }

    def add_loss(self, objective: Objective, samples: int) -> None:
        """Add the loss of one batch."""
        self._parts.add(objective.parts, samples)

    def score(self, split: str, logits: dict[Modality, Tensor], labels_BHW: Tensor) -> None:
        """Count predictions against labels of one kind."""
        for modality, logits_BCHW in logits.items():
            self._confusion[split, modality].update(logits_BCHW.argmax(1), labels_BHW)

    def separate(
        self, weights: dict[tuple[Modality, str], Tensor], labels_BHW: Tensor, truth_BHW: Tensor
    ) -> None:
        """Count the weights of right and of wrong labels."""
        for key, weights_BHW in weights.items():
            self._separation[key].add(weights_BHW, labels_BHW, truth_BHW)

    def measurements(self, epoch: int) -> list[Measurement]:
        """All means and scores, over all ranks."""
        rows = _part_rows(epoch, "validation", self._parts.means())
        for (split, modality), matrix in self._confusion.items():
            rows += _score_rows(epoch, split, modality, matrix.reduce().scores())
        for (modality, kind), tally in self._separation.items():
            area, areas = tally.areas()
            metric = f"{kind}_weight_auroc"
            rows.append(Measurement(epoch, "truth", modality, ALL, metric, area))
            rows += [
                Measurement(epoch, "truth", modality, name, metric, value)
                for name, value in zip(_class_names(), areas, strict=True)
            ]
        return rows


def _part_rows(epoch: int, split: str, means: dict[str, float]) -> list[Measurement]:
    return [
        Measurement(epoch, split, modality, ALL, metric, value)
        for name, value in means.items()
        for metric, modality in [_metric_and_modality(name)]
    ]


def _metric_and_modality(name: str) -> tuple[str, str]:
    """Metric and modality of a part: `segmentation_s1` is of "s1", `loss` of all."""
    metric, _, last = name.rpartition("_")
    return (metric, last) if last in ("s1", "s2") else (name, ALL)


def _score_rows(epoch: int, split: str, modality: str, scores: Scores) -> list[Measurement]:
    rows = [
        Measurement(epoch, split, modality, ALL, metric, getattr(scores, metric))
        for metric in ("oa", "aa", "miou", "mf1")
    ]
    for metric in ("iou", "f1", "precision", "recall"):
        values = getattr(scores.per_class, metric)
        rows += [
            Measurement(epoch, split, modality, name, metric, value)
            for name, value in zip(_class_names(), values, strict=True)
        ]
    return rows


def _class_names() -> list[str]:
    return [row.name for row in load_legend("dynamic_world")]
