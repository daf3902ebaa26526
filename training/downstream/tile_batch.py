"""Tiles of a store as a segmentation network takes them: scaled, and cropped for training.

Shapes: B batch, C channels, H rows, W columns.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.settings.pretrain import Upsampling
from training.cromss.smoothing import NO_LABEL
from training.loading.augment import Geometry
from training.loading.batch import contract_values
from training.loading.inputs import InputContract, InputScaling
from training.loading.samples import StoredBatch


class CropRecipe(NamedTuple):
    """How training crops are cut from tiles.

    Attributes:
        crop: Rows and columns; None, or more than a tile has, takes whole tiles.
        flip_share: Share of crops that are flipped.
        rotation_share: Share of crops that are rotated.
        seed: Of all random draws.
    """

    crop: int | None
    flip_share: float
    rotation_share: float
    seed: int


class TileInputs(nn.Module):
    """Makes the input of one encoder from stored tiles, on the device.

    Args:
        contract: Of the encoder.
        upsampling: How coarse bands are refined where a store keeps native ones.
    """

    def __init__(self, contract: InputContract, upsampling: Upsampling = "bicubic") -> None:
        super().__init__()
        self.contract = contract
        self._upsampling: Upsampling = upsampling
        self._scaling = InputScaling(contract)

    @torch.no_grad()
    def forward(self, imagery: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
        """(B, C, *size) float32, from stored integers by array."""
        values_BCHW = contract_values(imagery, self.contract, size, self._upsampling)
        image_BCHW: Tensor = self._scaling(values_BCHW)
        return image_BCHW.contiguous(memory_format=torch.channels_last)

    def whole(self, stored: StoredBatch) -> tuple[Tensor, Tensor]:
        """Whole tiles and their labels (B, H, W)."""
        labels_BHW = stored.labels_BTHW[:, 0]
        return self(stored.imagery, (labels_BHW.shape[1], labels_BHW.shape[2])), labels_BHW

    @torch.no_grad()
    def crops(self, stored: StoredBatch, recipe: CropRecipe, epoch: int) -> tuple[Tensor, Tensor]:
        """Augmented training crops and their labels; a function of (seed, epoch, sample) alone."""
        image_BCHW, labels_BHW = self.whole(stored)
        frame = (labels_BHW.shape[1], labels_BHW.shape[2])
        geometry = Geometry.draw(
            stored.sample_B,
            frame=frame,
            crop=min(recipe.crop or min(frame), *frame),
            seed=recipe.seed,
            epoch=epoch,
            flip_share=recipe.flip_share,
            rotation_share=recipe.rotation_share,
        )
        return geometry.warp(image_BCHW), geometry.warp_labels(labels_BHW)


def require_labels(stored: StoredBatch, num_classes: int) -> None:
    """Refuse labels that are neither a class nor 255; call it before they go to the device.

    Raises:
        PipelineError: There is one.
    """
    labels = stored.labels_BTHW
    foreign = labels[(labels >= num_classes) & (labels != NO_LABEL)]
    if len(foreign):
        raise PipelineError(
            f"a tile has the label {int(foreign.max())}, the task has the classes 0 to "
            f"{num_classes - 1}; correct num_classes of the task or import the store again"
        )


def to_device(stored: StoredBatch, device: torch.device) -> StoredBatch:
    """The same batch on a device."""
    if device.type == "cpu":
        return stored
    return stored._replace(
        sample_B=stored.sample_B.to(device, non_blocking=True),
        season_B=stored.season_B.to(device, non_blocking=True),
        imagery={
            name: array.to(device, non_blocking=True) for name, array in stored.imagery.items()
        },
        labels_BTHW=stored.labels_BTHW.to(device, non_blocking=True),
    )
