"""Sums over an epoch that stay on the device until the epoch ends."""

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from training.cromss.smoothing import NO_LABEL, one_hot


class MeanTally:
    """Weighted means of named numbers over the batches of all ranks."""

    def __init__(self, names: tuple[str, ...], device: torch.device) -> None:
        self._names = names
        self._sums = torch.zeros(len(names) + 1, dtype=torch.float64, device=device)

    def add(self, values: Mapping[str, Tensor], weight: int) -> None:
        """Add one batch.

        Args:
            values: A 0-d tensor for every name.
            weight: Of the batch: its number of samples.
        """
        batch = torch.stack([values[name].detach().double() for name in self._names])
        self._sums[:-1] += batch * weight
        self._sums[-1] += weight

    def means(self) -> dict[str, float]:
        """The mean of each number, NaN if there was no batch; waits for the device."""
        sums = _over_ranks(self._sums).cpu()
        return dict(zip(self._names, (sums[:-1] / sums[-1]).tolist(), strict=True))


class ClassMeanTally:
    """Mean of a map by the class that the pixels are labelled as, over all ranks."""

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self._num_classes = num_classes
        self._sums = torch.zeros(2, num_classes, dtype=torch.float64, device=device)

    def add(self, values_BHW: Tensor, labels_BHW: Tensor) -> None:
        """Add one batch; pixels labelled 255 do not count."""
        is_class_BCHW = one_hot(labels_BHW, self._num_classes)
        self._sums[0] += (is_class_BCHW * values_BHW.detach().unsqueeze(1)).sum((0, 2, 3)).double()
        self._sums[1] += is_class_BCHW.sum((0, 2, 3)).double()

    def means(self) -> list[float]:
        """The mean of each class, NaN for a class without pixels; waits for the device."""
        sums = _over_ranks(self._sums).cpu()
        return (sums[0] / sums[1]).tolist()


class SeparationTally:
    """How well a weight map tells right labels from wrong ones: AUROC by class, over all ranks.

    The area under the ROC curve is the probability that a pixel with a right label weighs more than
    one with a wrong label, ties counting half; here up to the width of a bin.

    Args:
        num_classes: C.
        device: Where to count.
        bins: Of the weights between 0 and 1.
    """

    def __init__(self, num_classes: int, device: torch.device, bins: int = 512) -> None:
        self._num_classes = num_classes
        self._bins = bins
        self._counts = torch.zeros(num_classes * 2 * bins, dtype=torch.float64, device=device)

    def add(self, weights_BHW: Tensor, labels_BHW: Tensor, truth_BHW: Tensor) -> None:
        """Add one batch; pixels without label or truth do not count."""
        counted = (labels_BHW != NO_LABEL) & (truth_BHW != NO_LABEL)
        right = (labels_BHW == truth_BHW).long()
        bin_BHW = (weights_BHW.detach() * (self._bins - 1)).round().long()
        slot_BHW = (labels_BHW.long() * 2 + right) * self._bins + bin_BHW
        slot_BHW = torch.where(counted, slot_BHW, 0)
        self._counts.scatter_add_(0, slot_BHW.flatten(), counted.double().flatten())

    def areas(self) -> tuple[float, list[float]]:
        """AUROC over all classes together, and of each; NaN without both kinds of labels."""
        counts = _over_ranks(self._counts).cpu().view(self._num_classes, 2, self._bins)
        return _area(counts.sum(0)), [_area(one_class) for one_class in counts]


def _area(counts: Tensor) -> float:
    """AUROC from histograms (2, bins) of wrong and right pixels."""
    wrong, right = counts
    wrong_below = wrong.cumsum(0) - wrong / 2
    return float((right * wrong_below).sum() / (right.sum() * wrong.sum()))


def _over_ranks(sums: Tensor) -> Tensor:
    if dist.is_available() and dist.is_initialized():
        sums = sums.clone()
        dist.all_reduce(sums)
    return sums
