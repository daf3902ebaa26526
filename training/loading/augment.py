"""Crop, flip and rotation of a whole batch on the device: the same geometry for all of a sample.

The released training (albumentations: RandomCrop 256 of 264, Flip p = 0.5, Rotate p = 0.2) with the
random numbers of `training.loading.random_numbers`. Image and prior are resampled bilinearly,
labels by nearest neighbour; beyond the crop the image is mirrored about its outer pixels (OpenCV's
``BORDER_REFLECT_101``). Samples that are not rotated keep their values exactly.

Shapes: B batch, C channels, H and W rows and columns of the frame, S those of the crop.
"""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from training.loading.random_numbers import uniform

# Numbers of the random draws of a sample; 0 is its season.
_TOP, _LEFT, _FLIP, _WHICH_FLIP, _ROTATE, _ANGLE = range(1, 7)

_MAX_ANGLE = 90.0
"""Degrees; the default limit of albumentations' Rotate."""


class Geometry(NamedTuple):
    """Where the pixels of each crop come from, drawn once for a batch.

    Attributes:
        source_BSS: int64 index into the flattened frame of each pixel of the flipped crop.
        grid_BSS2: Column and row of each rotated pixel in the crop, in units of
            `torch.nn.functional.grid_sample`.
        rotated_B: bool, whether the sample is rotated at all.
    """

    source_BSS: Tensor
    grid_BSS2: Tensor
    rotated_B: Tensor

    @classmethod
    def draw(
        cls,
        sample_B: Tensor,
        frame: tuple[int, int],
        crop: int,
        seed: int,
        epoch: int,
        flip_share: float = 0.5,
        rotation_share: float = 0.2,
    ) -> Self:
        """Draw the geometry of a batch; a function of (seed, epoch, sample) alone.

        Args:
            sample_B: int64 indices of the samples.
            frame: Rows and columns of the frame.
            crop: Rows and columns of the crop.
            seed: Of the run.
            epoch: From 0.
            flip_share: Share of samples flipped: rows, columns or both, equally likely.
            rotation_share: Share of samples rotated by an angle uniform in -90 to 90 degrees.
        """

        def share(draw: int) -> Tensor:
            return uniform(seed, epoch, sample_B, draw)

        top_B = (share(_TOP) * (frame[0] - crop + 1)).long()
        left_B = (share(_LEFT) * (frame[1] - crop + 1)).long()
        flipped_B = share(_FLIP) < flip_share
        which_B = (share(_WHICH_FLIP) * 3).long()
        rows_BS = _run(top_B, flipped_B & (which_B != 1), crop)
        columns_BS = _run(left_B, flipped_B & (which_B != 0), crop)
        angle_B = (share(_ANGLE) * 2.0 - 1.0) * _MAX_ANGLE
        return cls(
            source_BSS=rows_BS[:, :, None] * frame[1] + columns_BS[:, None, :],
            grid_BSS2=rotation_grid(angle_B, crop),
            rotated_B=share(_ROTATE) < rotation_share,
        )

    def warp(self, values_BCHW: Tensor) -> Tensor:
        """Crop, flip and rotate an image or a prior bilinearly: (B, C, S, S)."""
        return self._rotate(self._crop(values_BCHW), "bilinear")

    def warp_labels(self, labels_BHW: Tensor) -> Tensor:
        """Crop, flip and rotate labels by nearest neighbour: (B, S, S) of the same dtype."""
        cropped_B1SS = self._crop(labels_BHW.unsqueeze(1))
        rotated_B1SS = self._rotate(cropped_B1SS.float(), "nearest")
        return rotated_B1SS.squeeze(1).to(labels_BHW.dtype)

    def _crop(self, values_BCHW: Tensor) -> Tensor:
        batch, channels = values_BCHW.shape[:2]
        size = self.source_BSS.shape[-1]
        index_BCP = self.source_BSS.reshape(batch, 1, -1).expand(-1, channels, -1)
        return (
            values_BCHW.reshape(batch, channels, -1)
            .gather(2, index_BCP)
            .view(batch, channels, size, size)
        )

    def _rotate(self, cropped_BCSS: Tensor, mode: str) -> Tensor:
        turned_BCSS = F.grid_sample(
            cropped_BCSS,
            self.grid_BSS2.to(cropped_BCSS.dtype),
            mode=mode,
            padding_mode="reflection",
            align_corners=True,
        )
        return torch.where(self.rotated_B[:, None, None, None], turned_BCSS, cropped_BCSS)


def rotation_grid(angle_B: Tensor, size: int) -> Tensor:
    """Sampling positions of a rotation about the centre of a square, counter-clockwise.

    Args:
        angle_B: Degrees.
        size: Rows and columns.

    Returns:
        (B, S, S, 2) float32: column and row, -1 and 1 at the centres of the outer pixels.
    """
    radians_B = torch.deg2rad(angle_B.double())
    cosine_B11 = torch.cos(radians_B)[:, None, None]
    sine_B11 = torch.sin(radians_B)[:, None, None]
    place_S = torch.linspace(-1.0, 1.0, size, dtype=torch.float64, device=angle_B.device)
    x_1S, y_S1 = place_S[None, :], place_S[:, None]
    # Rows point down, so a picture turned counter-clockwise is read clockwise in (x, y).
    from_x_BSS = cosine_B11 * x_1S - sine_B11 * y_S1
    from_y_BSS = sine_B11 * x_1S + cosine_B11 * y_S1
    return torch.stack([from_x_BSS, from_y_BSS], dim=-1).float()


def _run(start_B: Tensor, reversed_B: Tensor, size: int) -> Tensor:
    """(B, S) indices from each start on, in reversed order where asked for."""
    step_S = torch.arange(size, device=start_B.device)
    order_BS = torch.where(reversed_B[:, None], size - 1 - step_S, step_S)
    return start_B[:, None] + order_BS
