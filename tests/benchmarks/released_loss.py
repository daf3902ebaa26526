"""The released weights and loss, restated for comparison: one class and one term after the other.

Same operations in the same order as the public CromSS code: int64 one-hot labels, a boolean index,
`topk` and a branch on the device's answer for every class and modality, softmax anew for every
term. Only its printing and file writing on NaN are left out.
"""

import math

import torch
import torch.nn.functional as functional


def released_step(logits_s1, logits_s2, labels_BHW, prior_BCHW, epoch):
    """Total loss at the given epoch with ratio 0.5, exponential ramp over 80 epochs, smoothing."""
    logits = [logits_s1, logits_s2]
    num_classes = logits_s1.shape[1]
    ramp = math.exp(-5 * (1 - min(epoch, 80) / 80) ** 2)
    with torch.no_grad():
        label_masks = _label_masks(logits, labels_BHW, num_classes, 1 - ramp * 0.5)
        entity_masks = _entity_masks(logits, num_classes, ramp)
    target_BCHW = functional.one_hot(labels_BHW, num_classes=num_classes)
    target_BCHW = target_BCHW.permute(0, 3, 1, 2).float()
    target_BCHW = target_BCHW * 0.8 + prior_BCHW * 0.15 + 0.05 / num_classes
    loss = torch.tensor(0.0, device=labels_BHW.device)
    for modality in range(2):
        mask_BHW = label_masks[modality]
        entropy_BHW = functional.cross_entropy(logits[modality], target_BCHW, reduction="none")
        loss = loss + (entropy_BHW * mask_BHW).sum() / mask_BHW.sum()
        loss = loss + _dice(logits[modality], target_BCHW, mask_BHW)
    for student, teacher in ((0, 1), (1, 0)):
        teacher_BCHW = functional.softmax(logits[teacher].detach(), dim=1)
        distance_BHW = functional.cross_entropy(logits[student], teacher_BCHW, reduction="none")
        weight = entity_masks[teacher].sum()
        if weight > 0:
            loss = loss + (distance_BHW * entity_masks[teacher]).sum() / weight
    return loss


def _label_masks(logits, labels_BHW, num_classes, ratio):
    confidences = []
    for logits_BCHW in logits:
        one_hot_BCHW = functional.one_hot(labels_BHW, num_classes=num_classes).permute(0, 3, 1, 2)
        confidence_BHW = (functional.softmax(logits_BCHW, dim=1) * one_hot_BCHW).sum(1)
        if torch.isnan(confidence_BHW).sum() > 0:
            confidence_BHW[torch.isnan(confidence_BHW)] = 0
        confidences.append(confidence_BHW)
    masks = []
    for confidence_BHW in _enhanced(confidences):
        mask_BHW = torch.zeros_like(confidence_BHW)
        for class_id in range(num_classes):
            is_class_BHW = labels_BHW == class_id
            chosen = int(is_class_BHW.sum() * ratio)
            if chosen > 0:
                threshold = torch.topk(confidence_BHW[is_class_BHW], chosen, largest=True)[0][-1]
                if threshold > 0:
                    mask_BHW += torch.clip(confidence_BHW * is_class_BHW / threshold, 0.0, 1.0)
                else:
                    mask_BHW += is_class_BHW
        masks.append(mask_BHW)
    return masks


def _entity_masks(logits, num_classes, ramp):
    confidences = []
    for logits_BCHW in logits:
        p_BCHW = functional.softmax(logits_BCHW, dim=1)
        uncertainty_BCHW = -(p_BCHW * p_BCHW.log())
        if torch.isnan(uncertainty_BCHW).sum() > 0:
            raise FloatingPointError("the released code fails here")
        confidence_BHW = 1 - uncertainty_BCHW.sum(1) / math.log(num_classes)
        confidences.append(confidence_BHW.clamp(0, 1))
    return [(1 - ramp) + ramp * confidence_BHW for confidence_BHW in _enhanced(confidences)]


def _enhanced(confidences):
    first, second = confidences
    return [(first + first * second) / 2, (second + second * first) / 2]


def _dice(logits_BCHW, target_BCHW, mask_BHW):
    batch, num_classes = logits_BCHW.shape[:2]
    p = logits_BCHW.log_softmax(dim=1).exp().view(batch, num_classes, -1)
    target = target_BCHW.reshape(batch, num_classes, -1)
    mask = mask_BHW.view(batch, 1, -1)
    overlap_C = torch.sum(mask * p * target, dim=(0, 2))
    mass_C = torch.sum(mask * p + mask * target, dim=(0, 2))
    loss_C = 1.0 - 2.0 * overlap_C / mass_C.clamp_min(1e-7)
    return (loss_C * (target.sum((0, 2)) > 0).to(loss_C.dtype)).mean()
