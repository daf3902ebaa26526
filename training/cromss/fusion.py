"""The networks of CromSS: U-Nets for both modalities, joined at the decoder or only in the loss.

Late fusion trains two whole U-Nets side by side; mid fusion gives both modalities their own encoder
and lets them share decoder and head (section on multi-modal architectures of the paper). Built
from the parts of `segmentation_models_pytorch.Unet`, so that an encoder fits every model of that
library.

Shapes: B batch, H rows, W columns (multiples of 32 waste nothing; others work).
"""

from typing import Literal

import segmentation_models_pytorch as smp
from torch import Tensor, nn

Fusion = Literal["mid", "late"]
Modality = Literal["s1", "s2"]

SHARED = "shared"


class _ModalityUnets(nn.Module):
    """Encoders, decoders and heads by name; a modality uses its own, or the shared ones."""

    def __init__(self, unets: dict[str, smp.Unet], shared: bool) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({name: unet.encoder for name, unet in unets.items()})
        owners = {SHARED: next(iter(unets.values()))} if shared else unets
        self.decoders = nn.ModuleDict({name: unet.decoder for name, unet in owners.items()})
        self.heads = nn.ModuleDict({name: unet.segmentation_head for name, unet in owners.items()})
        self._owner = {name: SHARED if shared else name for name in unets}

    def encoder(self, modality: Modality) -> nn.Module:
        """The bare smp encoder of a modality, sharing its weights with this network."""
        return self.encoders[modality]

    def logits(self, modality: Modality, image_BCHW: Tensor) -> Tensor:
        """Logits of one modality alone, (B, num_classes, H, W)."""
        owner = self._owner[modality]
        features = self.encoders[modality](image_BCHW)
        return self.heads[owner](self.decoders[owner](features))


class CrossModalUnet(_ModalityUnets):
    """Two networks that learn from each other: Sentinel-1 and Sentinel-2.

    With mid fusion the shared decoder sees Sentinel-1 first, then Sentinel-2. In training each pass
    is normalised by its own batch statistics while the running statistics mix both, as released.

    Args:
        fusion: "mid" shares decoder and head, "late" shares nothing.
        encoder: Name of an smp encoder.
        s1_channels: Bands of Sentinel-1.
        s2_channels: Bands of Sentinel-2.
        num_classes: Channels of the logits.
    """

    def __init__(
        self,
        fusion: Fusion = "mid",
        encoder: str = "resnet50",
        s1_channels: int = 2,
        s2_channels: int = 13,
        num_classes: int = 9,
    ) -> None:
        if fusion not in ("mid", "late"):
            raise ValueError(f"unknown fusion {fusion!r}: choose mid or late")
        unets = {
            "s1": _unet(encoder, s1_channels, num_classes),
            "s2": _unet(encoder, s2_channels, num_classes),
        }
        super().__init__(unets, shared=fusion == "mid")
        self.fusion = fusion

    def forward(self, s1_BCHW: Tensor, s2_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of Sentinel-1 and of Sentinel-2, each (B, num_classes, H, W)."""
        return self.logits("s1", s1_BCHW), self.logits("s2", s2_BCHW)


class SingleModalUnet(_ModalityUnets):
    """One U-Net on one modality, the baseline of the paper's ablation.

    Args:
        modality: "s1" or "s2".
        encoder: Name of an smp encoder.
        channels: Bands of the modality; by default all, 2 or 13.
        num_classes: Channels of the logits.
    """

    def __init__(
        self,
        modality: Modality,
        encoder: str = "resnet50",
        channels: int | None = None,
        num_classes: int = 9,
    ) -> None:
        if channels is None:
            channels = {"s1": 2, "s2": 13}[modality]
        super().__init__({modality: _unet(encoder, channels, num_classes)}, shared=False)
        self.modality = modality

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits, (B, num_classes, H, W)."""
        return self.logits(self.modality, image_BCHW)


def _unet(encoder: str, channels: int, num_classes: int) -> smp.Unet:
    """A randomly initialised U-Net with five stages and the decoder widths of the released code."""
    return smp.Unet(
        encoder_name=encoder,
        encoder_depth=5,
        encoder_weights=None,
        decoder_channels=(256, 128, 64, 32, 16),
        in_channels=channels,
        classes=num_classes,
    )
