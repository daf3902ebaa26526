"""Scores of a classification map: a confusion matrix counted on the device."""

from dataclasses import dataclass
from typing import Literal, Self

import torch
import torch.distributed as dist
from torch import Tensor

from training.cromss.histograms import histogram
from training.cromss.smoothing import NO_LABEL


@dataclass(frozen=True)
class ClassScores:
    """Scores of every class, C numbers each; NaN where the class gives no answer."""

    iou: tuple[float, ...]
    f1: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True)
class Scores:
    """Overall accuracy, average accuracy (mean recall), mean IoU and mean F1, all in [0, 1]."""

    oa: float
    aa: float
    miou: float
    mf1: float
    per_class: ClassScores


class ConfusionMatrix:
    """Pixel counts by label and prediction, exact at any size (int64).

    Args:
        num_classes: C.
        ignore_index: Label that is not counted.
        device: Where to count.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = NO_LABEL,
        device: torch.device | str = "cpu",
    ) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)

    @torch.no_grad()
    def update(self, prediction: Tensor, label: Tensor) -> Self:
        """Count a batch, without host synchronisation.

        Args:
            prediction: Integer class of each pixel, 0 to C - 1, any shape.
            label: Integer label of each pixel, same shape, 0 to C - 1 or the ignored one.
        """
        classes = self.num_classes
        label_N = label.reshape(-1)
        counted_N = label_N != self.ignore_index
        slot_N = label_N.long() * classes + prediction.reshape(-1).long()
        slot_N = torch.where(counted_N, slot_N, 0)
        counts = histogram(slot_N, classes * classes, counted_N)
        self.counts = self.counts.to(counts.device) + counts.view(classes, classes)
        return self

    def merge(self, other: "ConfusionMatrix") -> Self:
        """Add the counts of another matrix of the same classes."""
        if other.num_classes != self.num_classes:
            raise ValueError(f"cannot merge {other.num_classes} classes into {self.num_classes}")
        self.counts = self.counts + other.counts.to(self.counts.device)
        return self

    def reduce(self, group: dist.ProcessGroup | None = None) -> Self:
        """Sum the counts over the ranks of a group (None: all); every rank then holds the sum.

        Without a running process group there is one rank, and nothing to do.
        """
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(self.counts, group=group)
        return self

    def scores(self, compat: Literal["released"] | None = None) -> Scores:
        """Scores of all pixels counted so far, computed in float64; waits for the device.

        IoU = tp / (tp + fp + fn), F1 = 2 tp / (2 tp + fp + fn), precision = tp / (tp + fp),
        recall = tp / (tp + fn), OA = sum of tp / all pixels.

        Args:
            compat: None leaves a class out of a mean where its score is 0 / 0 (for IoU and F1: it
                occurs neither in labels nor in predictions); "released" scores it 1 there.

        Returns:
            Scores; NaN where there is no pixel to score.
        """
        counts = self.counts.double().cpu()
        hit_C = counts.diagonal()
        labelled_C = counts.sum(1)
        predicted_C = counts.sum(0)
        undefined = 1.0 if compat == "released" else float("nan")
        iou_C = _ratio(hit_C, labelled_C + predicted_C - hit_C, undefined)
        f1_C = _ratio(2 * hit_C, labelled_C + predicted_C, undefined)
        precision_C = _ratio(hit_C, predicted_C, undefined)
        recall_C = _ratio(hit_C, labelled_C, undefined)
        return Scores(
            oa=float(hit_C.sum() / counts.sum()),
            aa=float(recall_C.nanmean()),
            miou=float(iou_C.nanmean()),
            mf1=float(f1_C.nanmean()),
            per_class=ClassScores(
                iou=tuple(iou_C.tolist()),
                f1=tuple(f1_C.tolist()),
                precision=tuple(precision_C.tolist()),
                recall=tuple(recall_C.tolist()),
            ),
        )


def _ratio(numerator_C: Tensor, denominator_C: Tensor, undefined: float) -> Tensor:
    return torch.where(denominator_C > 0, numerator_C / denominator_C, undefined)
