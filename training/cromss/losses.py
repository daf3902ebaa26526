"""The loss of CromSS (Eq. 2 to 7): segmentation on noisy labels, consistency between modalities.

Each term is a weighted mean over the pixels of the whole batch, never per image. `CromssLoss` puts
smoothing, selection and the terms together; it is one graph without host synchronisation, meant to
be given to `torch.compile`.

Shapes: B batch, C classes, H rows, W columns.
"""

from typing import Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.cromss.selection import (
    Compat,
    RampKind,
    consistency_weights,
    cross_modal_enhancement,
    entropy_confidence_from_log,
    label_confidence_from_log,
    log_probabilities,
    ramp_on_device,
    segmentation_weights,
)
from training.cromss.smoothing import NO_LABEL, smooth_labels

ConsistencyKind = Literal["kl", "ce", "mse"]

_DIMS = (0, 2, 3)


class LossParts(NamedTuple):
    """A loss and what it is made of: 0-d tensors, and the weight maps (B, H, W) it used.

    The consistency of a modality is that of the modality as student. Its consistency weights say
    how far it is trusted as teacher.
    """

    total: Tensor
    segmentation_s1: Tensor
    segmentation_s2: Tensor
    consistency: Tensor
    consistency_s1: Tensor
    consistency_s2: Tensor
    ratio: Tensor
    ramp: Tensor
    segmentation_weights_s1_BHW: Tensor
    segmentation_weights_s2_BHW: Tensor
    consistency_weights_s1_BHW: Tensor
    consistency_weights_s2_BHW: Tensor


def cross_entropy(
    logits_BCHW: Tensor,
    target_BCHW: Tensor,
    weights_BHW: Tensor,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Weighted mean of the cross-entropy with soft targets (first part of the segmentation loss).

    Args:
        logits_BCHW: Any floating type; computed in float32, or float64 for float64 logits.
        target_BCHW: Class shares per pixel, as from `smooth_labels`.
        weights_BHW: Non-negative; 0 where the label is 255. Without any weight the loss is 0.
        group: Take the mean over the batches of all ranks of this group, instead of this rank's.

    Returns:
        0-d tensor.
    """
    return _cross_entropy(log_probabilities(logits_BCHW), target_BCHW, weights_BHW, group)


def soft_dice(
    logits_BCHW: Tensor,
    target_BCHW: Tensor,
    weights_BHW: Tensor,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Weighted soft Dice loss (second part of the segmentation loss).

    (1 / C) sum_c a_c (1 - 2 I_c / K_c), I_c = sum w p_c y_c, K_c = sum w (p_c + y_c); a_c is 1
    where the targets have any mass of class c, weighted or not, else 0. Arguments as in
    `cross_entropy`.

    Returns:
        0-d tensor in [0, 1].
    """
    p_BCHW = log_probabilities(logits_BCHW).exp()
    return _soft_dice(p_BCHW, target_BCHW, weights_BHW, group)


def consistency(
    student_logits_BCHW: Tensor,
    teacher_logits_BCHW: Tensor,
    weights_BHW: Tensor,
    kind: ConsistencyKind = "kl",
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Weighted mean of the student's distance from the teacher (Eq. 5 for "kl").

    kl: sum_c q ln(q / p); ce: -sum_c q ln p, of equal gradient; mse: sum_c (p - q)^2, with p the
    student's and q the teacher's probabilities.

    Args:
        student_logits_BCHW: Receives the gradient.
        teacher_logits_BCHW: Detached here.
        weights_BHW: Non-negative, the teacher's `consistency_weights`. Without any the loss is 0.
        kind: Which distance.
        group: Take the mean over the batches of all ranks of this group, instead of this rank's.

    Returns:
        0-d tensor.
    """
    log_p_BCHW = log_probabilities(student_logits_BCHW)
    log_q_BCHW = log_probabilities(teacher_logits_BCHW.detach())
    return _consistency(log_p_BCHW, log_q_BCHW, weights_BHW, kind, group)


def segmentation_loss(
    logits_BCHW: Tensor,
    labels_BHW: Tensor,
    prior_BCHW: Tensor | None = None,
    prior_weight: float = 0.0,
    uniform_weight: float = 0.0,
) -> Tensor:
    """Cross-entropy plus soft Dice of one modality without selection; 255 is left out.

    The loss of single-modal pretraining (with smoothing) and of fine-tuning (without).
    """
    target_BCHW = smooth_labels(
        labels_BHW, logits_BCHW.shape[1], prior_BCHW, prior_weight, uniform_weight
    )
    log_p_BCHW = log_probabilities(logits_BCHW)
    labelled_BHW = (labels_BHW != NO_LABEL).to(log_p_BCHW.dtype)
    return _segmentation(log_p_BCHW, target_BCHW, labelled_BHW, None)


class CromssLoss(nn.Module):
    """The whole loss of a step: sum of both modalities' segmentation and weighted consistency.

    Args:
        num_classes: C.
        selection: Weigh pixels by cross-modal confidence; without, all labelled pixels weigh 1.
        ratio: Share of each class that keeps full weight once the ramp has ended.
        ramp_epochs: Epochs until the selection has its full effect.
        ramp_kind: "exponential" or "linear".
        consistency: Distance between the modalities: "kl" (the paper), "ce" or "mse".
        consistency_weight: Factor of the consistency terms.
        prior_weight: Share of the smoothing prior in the targets.
        uniform_weight: Share of the uniform distribution in the targets.
        compat: "released" gives weight 0 to classes too small to be selected from.
        group: Process group whose joint batch decides weights and sums (`selection.scope: global`).
            Every rank then holds the same loss, and the gradients of a mean over ranks, as
            DistributedDataParallel takes it, are those of one process with the joint batch. None:
            each rank by itself, as released.
    """

    def __init__(
        self,
        num_classes: int,
        selection: bool = True,
        ratio: float = 0.5,
        ramp_epochs: int = 80,
        ramp_kind: RampKind = "exponential",
        consistency: ConsistencyKind = "kl",
        consistency_weight: float = 1.0,
        prior_weight: float = 0.15,
        uniform_weight: float = 0.05,
        compat: Compat | None = None,
        group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.selection = selection
        self.ratio = ratio
        self.ramp_epochs = ramp_epochs
        self.ramp_kind: RampKind = ramp_kind
        self.consistency: ConsistencyKind = consistency
        self.consistency_weight = consistency_weight
        self.prior_weight = prior_weight
        self.uniform_weight = uniform_weight
        self.compat = compat
        self.group = group

    def forward(
        self,
        logits_s1_BCHW: Tensor,
        logits_s2_BCHW: Tensor,
        labels_BHW: Tensor,
        prior_BCHW: Tensor | None,
        epoch: int | Tensor,
    ) -> LossParts:
        """Loss of one batch.

        Args:
            logits_s1_BCHW: Output of the network for Sentinel-1, any floating type.
            logits_s2_BCHW: The same for Sentinel-2.
            labels_BHW: Noisy labels, integers; 255 is no label.
            prior_BCHW: From `smoothing_prior`, or None for no prior.
            epoch: Epoch from 0, as a number or a 0-d tensor on the device.
        """
        log_p1_BCHW = log_probabilities(logits_s1_BCHW)
        log_p2_BCHW = log_probabilities(logits_s2_BCHW)
        target_BCHW = smooth_labels(
            labels_BHW, self.num_classes, prior_BCHW, self.prior_weight, self.uniform_weight
        )
        ramp, ratio = self._schedule(epoch, labels_BHW.device)
        w1_BHW, w2_BHW, v1_BHW, v2_BHW = self._weights(
            log_p1_BCHW.detach(), log_p2_BCHW.detach(), labels_BHW, ramp, ratio
        )
        segmentation_s1 = _segmentation(log_p1_BCHW, target_BCHW, w1_BHW, self.group)
        segmentation_s2 = _segmentation(log_p2_BCHW, target_BCHW, w2_BHW, self.group)
        # The teacher's weights count: it is the teacher who must be sure.
        consistency_s1 = _consistency(
            log_p1_BCHW, log_p2_BCHW.detach(), v2_BHW, self.consistency, self.group
        )
        consistency_s2 = _consistency(
            log_p2_BCHW, log_p1_BCHW.detach(), v1_BHW, self.consistency, self.group
        )
        agreement = consistency_s1 + consistency_s2
        return LossParts(
            total=segmentation_s1 + segmentation_s2 + self.consistency_weight * agreement,
            segmentation_s1=segmentation_s1,
            segmentation_s2=segmentation_s2,
            consistency=agreement,
            consistency_s1=consistency_s1,
            consistency_s2=consistency_s2,
            ratio=ratio,
            ramp=ramp,
            segmentation_weights_s1_BHW=w1_BHW,
            segmentation_weights_s2_BHW=w2_BHW,
            consistency_weights_s1_BHW=v1_BHW,
            consistency_weights_s2_BHW=v2_BHW,
        )

    def _schedule(self, epoch: int | Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Ramp and selection ratio of the epoch: 1 - ramp (1 - ratio)."""
        if not isinstance(epoch, Tensor):
            epoch = torch.full((), epoch, dtype=torch.int64, device=device)
        ramp = ramp_on_device(epoch, self.ramp_epochs, self.ramp_kind)
        return ramp, 1.0 - ramp * (1.0 - self.ratio)

    def _weights(
        self,
        log_p1_BCHW: Tensor,
        log_p2_BCHW: Tensor,
        labels_BHW: Tensor,
        ramp: Tensor,
        ratio: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Segmentation weights of both modalities, then consistency weights of both."""
        if not self.selection:
            labelled_BHW = (labels_BHW != NO_LABEL).to(log_p1_BCHW.dtype)
            ones_BHW = torch.ones_like(labelled_BHW)
            return labelled_BHW, labelled_BHW, ones_BHW, ones_BHW
        label1_BHW = label_confidence_from_log(log_p1_BCHW, labels_BHW)
        label2_BHW = label_confidence_from_log(log_p2_BCHW, labels_BHW)
        entropy1_BHW = entropy_confidence_from_log(log_p1_BCHW)
        entropy2_BHW = entropy_confidence_from_log(log_p2_BCHW)
        beta = ramp.to(log_p1_BCHW.dtype)
        return (
            self._select(cross_modal_enhancement(label1_BHW, label2_BHW), labels_BHW, ratio),
            self._select(cross_modal_enhancement(label2_BHW, label1_BHW), labels_BHW, ratio),
            consistency_weights(cross_modal_enhancement(entropy1_BHW, entropy2_BHW), beta),
            consistency_weights(cross_modal_enhancement(entropy2_BHW, entropy1_BHW), beta),
        )

    def _select(self, confidence_BHW: Tensor, labels_BHW: Tensor, ratio: Tensor) -> Tensor:
        return segmentation_weights(
            confidence_BHW, labels_BHW, ratio, self.num_classes, self.compat, self.group
        )


def _segmentation(
    log_p_BCHW: Tensor,
    target_BCHW: Tensor,
    weights_BHW: Tensor,
    group: dist.ProcessGroup | None,
) -> Tensor:
    return _cross_entropy(log_p_BCHW, target_BCHW, weights_BHW, group) + _soft_dice(
        log_p_BCHW.exp(), target_BCHW, weights_BHW, group
    )


def _cross_entropy(
    log_p_BCHW: Tensor,
    target_BCHW: Tensor,
    weights_BHW: Tensor,
    group: dist.ProcessGroup | None,
) -> Tensor:
    return _weighted_mean(-(target_BCHW * log_p_BCHW).sum(1), weights_BHW, group)


def _soft_dice(
    p_BCHW: Tensor,
    target_BCHW: Tensor,
    weights_BHW: Tensor,
    group: dist.ProcessGroup | None,
) -> Tensor:
    weights_B1HW = weights_BHW.unsqueeze(1)
    overlap_C = (weights_B1HW * p_BCHW * target_BCHW).sum(_DIMS)
    mass_C = (weights_B1HW * (p_BCHW + target_BCHW)).sum(_DIMS)
    sums = torch.stack([overlap_C, mass_C, target_BCHW.sum(_DIMS).to(mass_C.dtype)])
    overlap_C, mass_C, presence_C = _sum_over_ranks(sums, group)
    return ((1.0 - 2.0 * overlap_C / mass_C.clamp_min(1e-7)) * (presence_C > 0)).mean()


def _consistency(
    log_p_BCHW: Tensor,
    log_q_BCHW: Tensor,
    weights_BHW: Tensor,
    kind: ConsistencyKind,
    group: dist.ProcessGroup | None,
) -> Tensor:
    q_BCHW = log_q_BCHW.exp()
    if kind == "kl":
        distance_BHW = (q_BCHW * (log_q_BCHW - log_p_BCHW)).sum(1)
    elif kind == "ce":
        distance_BHW = -(q_BCHW * log_p_BCHW).sum(1)
    elif kind == "mse":
        distance_BHW = ((log_p_BCHW.exp() - q_BCHW) ** 2).sum(1)
    else:
        raise ValueError(f"unknown consistency {kind!r}: choose kl, ce or mse")
    return _weighted_mean(distance_BHW, weights_BHW, group)


def _weighted_mean(
    values_BHW: Tensor, weights_BHW: Tensor, group: dist.ProcessGroup | None
) -> Tensor:
    sums = torch.stack([(weights_BHW * values_BHW).sum(), weights_BHW.sum()])
    value, weight = _sum_over_ranks(sums, group)
    return value / torch.where(weight > 0, weight, 1.0)


def _sum_over_ranks(sums: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """Sum over the ranks of the group, with the gradient multiplied by their number.

    That makes up for DistributedDataParallel, which divides the sum of gradients by it.
    """
    if group is None:
        return sums
    total = sums.detach().clone()
    dist.all_reduce(total, group=group)
    scaled = sums * dist.get_world_size(group)
    return total + (scaled - scaled.detach())
