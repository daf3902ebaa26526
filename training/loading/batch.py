"""From stored integers to network inputs, on the device, for a whole batch at once.

The smoothing prior is blurred on the full frame, before crop and rotation; image, labels and prior
then take the same geometry. Validation sees full frames and hard labels.

Shapes: B batch, C channels or classes, T seasons, H rows, W columns.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.sensors import Band, cube_bands
from pipeline.settings.pretrain import PretrainRun, SmoothingSettings, Upsampling
from training.cromss.fusion import Modality
from training.cromss.smoothing import smoothing_prior
from training.loading.augment import Geometry
from training.loading.inputs import InputContract, InputScaling
from training.loading.samples import NUM_CLASSES, StoredBatch
from training.loading.upsampling import upsample

S1_STEP_DB = 0.01
"""dB in one stored step of Sentinel-1."""


class NetworkBatch(NamedTuple):
    """What a step of training or validation works on.

    Attributes:
        sample_B: int64, index of each sample in its store.
        images: (B, C, H, W) float32 in 0 ... 1 by modality, channels last in memory.
        labels_BHW: uint8 noisy labels of the season; 255 is no label.
        prior_BCHW: float32 smoothing prior, or None.
        truth_BHW: uint8 true labels, or None where nobody knows them.
    """

    sample_B: Tensor
    images: dict[Modality, Tensor]
    labels_BHW: Tensor
    prior_BCHW: Tensor | None
    truth_BHW: Tensor | None


class BatchPreparation(nn.Module):
    """Makes network inputs; holds the scaling constants on the device.

    Args:
        contracts: Of each modality that is trained.
        run: Crop, augmentation, smoothing and upsampling.
        seed: Of all random draws.
    """

    def __init__(
        self, contracts: dict[Modality, InputContract], run: PretrainRun, seed: int
    ) -> None:
        super().__init__()
        self.contracts = contracts
        self._run = run
        self._seed = seed
        self._scalings = nn.ModuleDict({name: InputScaling(c) for name, c in contracts.items()})

    @torch.no_grad()
    def training_batch(self, stored: StoredBatch) -> NetworkBatch:
        """Augmented crops, with the prior of their labels."""
        run = self._run
        labels_BHW = _labels_of_season(stored)
        geometry = Geometry.draw(
            stored.sample_B,
            frame=(labels_BHW.shape[1], labels_BHW.shape[2]),
            crop=run.crop,
            seed=self._seed,
            epoch=stored.epoch,
            flip_share=run.flip_share,
            rotation_share=run.rotation_share,
        )
        prior_BCHW = _prior(stored, run.smoothing)
        return NetworkBatch(
            sample_B=stored.sample_B,
            images={
                name: _channels_last(geometry.warp(image_BCHW))
                for name, image_BCHW in self._images(stored).items()
            },
            labels_BHW=geometry.warp_labels(labels_BHW),
            prior_BCHW=None if prior_BCHW is None else geometry.warp(prior_BCHW),
            truth_BHW=None if stored.truth_BHW is None else geometry.warp_labels(stored.truth_BHW),
        )

    @torch.no_grad()
    def evaluation_batch(self, stored: StoredBatch) -> NetworkBatch:
        """Full frames and labels as they are."""
        return NetworkBatch(
            sample_B=stored.sample_B,
            images={
                name: _channels_last(image_BCHW)
                for name, image_BCHW in self._images(stored).items()
            },
            labels_BHW=_labels_of_season(stored),
            prior_BCHW=None,
            truth_BHW=stored.truth_BHW,
        )

    def _images(self, stored: StoredBatch) -> dict[Modality, Tensor]:
        size = (stored.labels_BTHW.shape[2], stored.labels_BTHW.shape[3])
        images: dict[Modality, Tensor] = {}
        # Autocast would round reflectances to 8 or 11 bits.
        with torch.autocast(stored.sample_B.device.type, enabled=False):
            for modality, contract in self.contracts.items():
                values_BCHW = contract_values(stored.imagery, contract, size, self._run.upsampling)
                images[modality] = self._scalings[modality](values_BCHW)
        return images


def contract_values(
    imagery: dict[str, Tensor],
    contract: InputContract,
    size: tuple[int, int],
    method: Upsampling,
) -> Tensor:
    """What a contract asks for, before scaling: its bands in its order and unit.

    Args:
        imagery: Stored integers, (B, bands, rows, columns) by array.
        contract: Of the network.
        size: Rows and columns of the 10 m grid.
        method: How coarse bands of Sentinel-2 are refined.

    Returns:
        (B, C, *size) float32.
    """
    if contract.modality == "s1":
        places = {band.name: band.cube_position for band in cube_bands("sentinel-1")}
        layers = [imagery["s1"][:, places[name]].float() for name in contract.bands]
        return torch.stack(layers, dim=1) * S1_STEP_DB
    return assemble_cube(imagery, contract.bands, size, method)


def assemble_cube(
    imagery: dict[str, Tensor],
    bands: tuple[str, ...],
    size: tuple[int, int],
    method: Upsampling,
) -> Tensor:
    """Sentinel-2 bands on the 10 m grid, from native arrays or from a stored cube.

    Args:
        imagery: "s2", or "s2_10m", "s2_20m" and "s2_60m": (B, bands, rows, columns) integers.
        bands: Which bands, in the order of the result.
        size: Rows and columns of the 10 m grid.
        method: How coarse bands are refined.

    Returns:
        (B, len(bands), *size) float32 in stored units.
    """
    by_name = {band.name: band for band in cube_bands("sentinel-2")}
    if "s2" in imagery:
        cube_BCHW = imagery["s2"].float()
        return torch.stack([cube_BCHW[:, by_name[name].cube_position] for name in bands], dim=1)
    fine = {
        array: upsample(_wanted(imagery[array], array, bands, by_name), size, method)
        for array in ("s2_10m", "s2_20m", "s2_60m")
        if any(by_name[name].array == array for name in bands)
    }
    taken = dict.fromkeys(fine, 0)
    layers = []
    for name in bands:
        array = by_name[name].array
        layers.append(fine[array][:, taken[array]])
        taken[array] += 1
    return torch.stack(layers, dim=1)


def _wanted(
    values_BCHW: Tensor, array: str, bands: tuple[str, ...], by_name: dict[str, Band]
) -> Tensor:
    """The wanted bands of one native array, in the wanted order, as float32."""
    positions = [by_name[name].position for name in bands if by_name[name].array == array]
    # Slices rather than an index: a list would be copied to the device, which waits for it.
    return torch.stack([values_BCHW[:, position].float() for position in positions], dim=1)


def _labels_of_season(stored: StoredBatch) -> Tensor:
    season_B111 = stored.season_B.view(-1, 1, 1, 1)
    return stored.labels_BTHW.take_along_dim(season_B111, dim=1).squeeze(1)


def _prior(stored: StoredBatch, smoothing: SmoothingSettings) -> Tensor | None:
    if smoothing.kind == "none" or smoothing.kind == "uniform":
        return None
    return smoothing_prior(stored.labels_BTHW, stored.season_B, NUM_CLASSES, smoothing.kind)


def _channels_last(image_BCHW: Tensor) -> Tensor:
    return image_BCHW.contiguous(memory_format=torch.channels_last)
