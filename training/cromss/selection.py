"""Cross-modal sample selection (CromSS, Eq. 8 to 12): how far each pixel is to be trusted.

From the logits of both modalities and the noisy labels to two weight maps per modality: one for
the segmentation terms, one for the consistency terms. Nothing here carries a gradient, leaves the
device or has a shape that depends on data.

Shapes: B batch, C classes, H rows, W columns, N = B * H * W pixels, K bins of a histogram.
"""

import math
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from training.cromss.histograms import histogram
from training.cromss.smoothing import NO_LABEL

RampKind = Literal["exponential", "linear"]
Compat = Literal["released"]

_DIGIT_BITS = 10
_BINS = 1 << _DIGIT_BITS


def log_probabilities(logits_BCHW: Tensor) -> Tensor:
    """Logarithm of the softmax over classes, finite for any finite logits.

    Half precision is raised to float32. Differences beyond the range of the type are cut at -1e30,
    where the probability is zero anyway and a sum over 10^8 pixels still fits float32.
    """
    dtype = torch.promote_types(logits_BCHW.dtype, torch.float32)
    return logits_BCHW.to(dtype).log_softmax(1).clamp_min(-1e30)


@torch.no_grad()
def label_confidence(logits_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """Probability that the network gives to the noisy label (Eq. 8).

    Returns:
        (B, H, W) in [0, 1], float32 (float64 for float64 logits); 0 where the label is 255.
    """
    return label_confidence_from_log(log_probabilities(logits_BCHW), labels_BHW)


@torch.no_grad()
def label_confidence_from_log(log_p_BCHW: Tensor, labels_BHW: Tensor) -> Tensor:
    """`label_confidence` (Eq. 8) from log-probabilities that are already at hand."""
    labelled_BHW = labels_BHW != NO_LABEL
    index_B1HW = torch.where(labelled_BHW, labels_BHW, 0).long().unsqueeze(1)
    return log_p_BCHW.gather(1, index_B1HW).squeeze(1).exp() * labelled_BHW


@torch.no_grad()
def entropy_confidence(logits_BCHW: Tensor) -> Tensor:
    """One minus the entropy of the prediction relative to that of a uniform guess (Eq. 9).

    Returns:
        (B, H, W) in [0, 1], float32 (float64 for float64 logits); finite for any finite logits.
    """
    return entropy_confidence_from_log(log_probabilities(logits_BCHW))


@torch.no_grad()
def entropy_confidence_from_log(log_p_BCHW: Tensor) -> Tensor:
    """`entropy_confidence` (Eq. 9) from log-probabilities that are already at hand."""
    num_classes = log_p_BCHW.shape[1]
    entropy_BHW = -(log_p_BCHW.exp() * log_p_BCHW).sum(1)
    # A single class has entropy 0 and needs no scale.
    return (1.0 - entropy_BHW / math.log(max(num_classes, 2))).clamp(0.0, 1.0)


def cross_modal_enhancement(confidence_BHW: Tensor, other_BHW: Tensor) -> Tensor:
    """Confidence of one modality, attenuated where the other one is unsure (Eq. 10).

    c (1 + c') / 2 lies between c / 2 and c: it lifts agreement only relative to other pixels.
    """
    return (confidence_BHW + confidence_BHW * other_BHW) / 2


def ramp(epoch: int, ramp_epochs: int, kind: RampKind = "exponential") -> float:
    """Progress of the selection from about 0 to 1 over the first epochs (text at Eq. 11 and 12).

    exponential: exp(-5 (1 - e / T)^2), which starts at 0.0067; linear: e / T; both 1 from T on.
    """
    return float(ramp_on_device(torch.tensor(epoch), ramp_epochs, kind))


def ramp_on_device(epoch: Tensor, ramp_epochs: int, kind: RampKind = "exponential") -> Tensor:
    """`ramp` as a 0-d float64 tensor, so that a compiled step is not rebuilt every epoch."""
    progress = (epoch.double() / max(ramp_epochs, 1)).clamp(0.0, 1.0)
    if ramp_epochs <= 0:
        progress = torch.ones_like(progress)
    if kind == "exponential":
        return torch.exp(-5.0 * (1.0 - progress) ** 2)
    if kind == "linear":
        return progress
    raise ValueError(f"unknown ramp {kind!r}: choose exponential or linear")


@torch.no_grad()
def segmentation_weights(
    confidence_BHW: Tensor,
    labels_BHW: Tensor,
    ratio: float | Tensor,
    num_classes: int,
    compat: Compat | None = None,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Weight 1 for the most trusted share of every class, and less below, in proportion (Eq. 11).

    The threshold t of a class is its k-th largest confidence, k = trunc(ratio * n) of its n pixels
    in the batch, computed in float32 as in the released code. A pixel weighs
    min(confidence / t, 1), or 1 where t is 0. A ratio of 0 gives the confidence itself.

    Args:
        confidence_BHW: In [0, 1], float32 or float64.
        labels_BHW: Integer labels; 255 is no label.
        ratio: Share of every class that keeps full weight, as a number or a 0-d tensor.
        num_classes: C.
        compat: "released" gives weight 0 to classes so small that k is 0; otherwise at least the
            most trusted pixel of a class sets its threshold, so that rare classes are not lost.
        group: Take classes over the batches of all ranks of this group, instead of this rank's.

    Returns:
        (B, H, W) float32, or float64 for float64 confidences; 0 where the label is 255.
    """
    confidence_BHW = confidence_BHW.to(torch.promote_types(confidence_BHW.dtype, torch.float32))
    labelled_BHW = labels_BHW != NO_LABEL
    class_BHW = torch.where(labelled_BHW, labels_BHW, num_classes).long()
    if not isinstance(ratio, Tensor):
        ratio = torch.full((), ratio, dtype=torch.float64, device=confidence_BHW.device)
    threshold_C, chosen_C = _class_thresholds(
        confidence_BHW.reshape(-1), class_BHW.reshape(-1), ratio, num_classes, compat, group
    )
    threshold_BHW = threshold_C[class_BHW]
    soft_BHW = (confidence_BHW / threshold_BHW).clamp_max(1.0)
    weights_BHW = torch.where(threshold_BHW > 0, soft_BHW, 1.0)
    weights_BHW = torch.where(ratio > 0, weights_BHW, confidence_BHW)
    has_weight_BHW = labelled_BHW & ((chosen_C > 0) | (ratio <= 0))[class_BHW]
    return torch.where(has_weight_BHW, weights_BHW, 0.0)


def consistency_weights(confidence_BHW: Tensor, beta: float | Tensor) -> Tensor:
    """Weights that turn from 1 everywhere into the entropy confidence as beta grows (Eq. 12)."""
    return (1.0 - beta) + beta * confidence_BHW


def _class_thresholds(
    confidence_N: Tensor,
    class_N: Tensor,
    ratio: Tensor,
    num_classes: int,
    compat: Compat | None,
    group: dist.ProcessGroup | None,
) -> tuple[Tensor, Tensor]:
    """The k-th largest confidence of every class, and k; class C stands for "no label".

    Non-negative floats sort like their bit patterns, so the answer is found digit by digit from
    one histogram per class and digit: no sorting, no synchronisation, and exact. Over several
    ranks only the histograms are summed.
    """
    bits_N, first_shift = _sortable_bits(confidence_N)

    def counts_CK(shift: int, alive_N: Tensor | None) -> Tensor:
        slot_N = class_N * _BINS + ((bits_N >> shift) & (_BINS - 1))
        counts = histogram(slot_N, (num_classes + 1) * _BINS, alive_N, torch.int32)
        return _sum_over(counts, group).view(num_classes + 1, _BINS).long()

    first_CK = counts_CK(first_shift, None)
    chosen_C = _number_chosen(first_CK.sum(1), ratio, compat)
    digit_C, rank_C = _digit_of_rank(first_CK, chosen_C)
    prefix_C = digit_C.to(bits_N.dtype)
    for shift in range(first_shift - _DIGIT_BITS, -1, -_DIGIT_BITS):
        alive_N = (bits_N >> (shift + _DIGIT_BITS)) == prefix_C[class_N]
        digit_C, rank_C = _digit_of_rank(counts_CK(shift, alive_N), rank_C)
        prefix_C = (prefix_C << _DIGIT_BITS) | digit_C.to(bits_N.dtype)
    return prefix_C.view(confidence_N.dtype), chosen_C


def _digit_of_rank(counts_CK: Tensor, rank_C: Tensor) -> tuple[Tensor, Tensor]:
    """Digit of the rank-th largest value of each class, and its rank among those of that digit."""
    at_least_CK = counts_CK.flip(1).cumsum(1).flip(1)
    digit_C = ((at_least_CK >= rank_C[:, None]).sum(1) - 1).clamp_min(0)
    larger_C = (at_least_CK - counts_CK).gather(1, digit_C[:, None]).squeeze(1)
    return digit_C, rank_C - larger_C


def _number_chosen(pixels_C: Tensor, ratio: Tensor, compat: Compat | None) -> Tensor:
    chosen_C = (pixels_C.float() * ratio.float()).long()
    return chosen_C if compat == "released" else chosen_C.clamp_min(1)


def _sortable_bits(confidence_N: Tensor) -> tuple[Tensor, int]:
    """Bit patterns as integers, and the position of the first digit.

    Values below 2 fit 30 bits in float32 and 62 in float64.
    """
    positive_N = confidence_N.abs()
    if confidence_N.dtype == torch.float64:
        return positive_N.view(torch.int64), 60
    return positive_N.view(torch.int32), 20


def _sum_over(counts: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    if group is not None:
        dist.all_reduce(counts, group=group)
    return counts
