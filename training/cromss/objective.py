"""The loss of a run from the logits of its modalities, and the weight maps behind it."""

from typing import NamedTuple

import torch.distributed as dist
from torch import Tensor, nn

from pipeline.settings.pretrain import PretrainRun
from training.cromss.fusion import Modality
from training.cromss.losses import CromssLoss, segmentation_loss
from training.loading.batch import NetworkBatch
from training.loading.samples import NUM_CLASSES


class Objective(NamedTuple):
    """Loss of a batch.

    Attributes:
        total: 0-d tensor to minimise.
        parts: 0-d tensors by name: what the total is made of, and where the ramp stands.
        weights: (B, H, W) maps by (modality, "segmentation" or "consistency"); empty for a single
            modality, where every label weighs 1.
    """

    total: Tensor
    parts: dict[str, Tensor]
    weights: dict[tuple[Modality, str], Tensor]


class RunLoss(nn.Module):
    """The loss of a run: as trained, or as validated.

    Validation weighs all labels alike and takes them as they are, so that its loss means the same
    in every epoch; consistency is a part of it, as released.

    Args:
        run: Selection, smoothing and consistency.
        training: False for validation.
        group: Process group whose joint batch decides the weights; None: each rank by itself.
    """

    def __init__(
        self, run: PretrainRun, training: bool, group: dist.ProcessGroup | None = None
    ) -> None:
        super().__init__()
        smoothing = run.smoothing
        soft = training and smoothing.kind != "none"
        self._prior_weight = smoothing.prior_weight if soft else 0.0
        self._uniform_weight = smoothing.uniform_weight if soft else 0.0
        self._modalities = run.modalities
        self.cromss = CromssLoss(
            NUM_CLASSES,
            selection=training and run.selection.enabled,
            ratio=run.selection.ratio,
            ramp_epochs=run.selection.ramp_epochs,
            ramp_kind=run.selection.ramp_kind,
            consistency=run.consistency,
            consistency_weight=run.consistency_weight,
            prior_weight=self._prior_weight,
            uniform_weight=self._uniform_weight,
            compat=run.selection.compat,
            group=group,
        )

    @property
    def part_names(self) -> tuple[str, ...]:
        """Keys of the parts of every objective."""
        if len(self._modalities) == 1:
            return ("loss",)
        per_modality = [f"{term}_{m}" for term in ("segmentation", "consistency") for m in _BOTH]
        return ("loss", *per_modality, "ratio", "ramp")

    def forward(
        self, logits: dict[Modality, Tensor], batch: NetworkBatch, epoch: int | Tensor
    ) -> Objective:
        """Loss of one batch in an epoch from 0."""
        if len(logits) == 1:
            (logits_BCHW,) = logits.values()
            total = segmentation_loss(
                logits_BCHW,
                batch.labels_BHW,
                batch.prior_BCHW,
                self._prior_weight,
                self._uniform_weight,
            )
            return Objective(total, {"loss": total}, {})
        found = self.cromss(logits["s1"], logits["s2"], batch.labels_BHW, batch.prior_BCHW, epoch)
        parts = {name: getattr(found, name) for name in self.part_names if name != "loss"}
        weights: dict[tuple[Modality, str], Tensor] = {
            (modality, kind): getattr(found, f"{kind}_weights_{modality}_BHW")
            for modality in _BOTH
            for kind in ("segmentation", "consistency")
        }
        return Objective(found.total, {"loss": found.total} | parts, weights)


_BOTH: tuple[Modality, ...] = ("s1", "s2")
