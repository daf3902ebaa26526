"""What a network takes as input: which bands, in which order and unit, scaled how.

A contract is written beside every exported encoder, so that whoever uses it can feed it as it was
trained. `InputScaling` carries it out, on the device, for a whole batch.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.sensors import cube_bands
from pipeline.settings.pretrain import Scaling
from training.cromss.fusion import Modality

NINE_BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B11", "B12")
"""The 9 bands of the released models: without B1, B8A, B9 and B10 (CromSS code, positions 1 to 7,
11 and 12 from 0)."""

UNITS: dict[Modality, str] = {"s1": "dB", "s2": "reflectance x 10000"}

InputScale = Scaling | Literal["standard", "range_uint8", "amplitude_uint8"]
"""How values become what arrives at a network; the last three serve published encoders alone."""

_SENSORS: dict[Modality, str] = {"s1": "sentinel-1", "s2": "sentinel-2"}


@dataclass(frozen=True)
class InputContract:
    """Input of one encoder.

    Attributes:
        modality: "s1" or "s2".
        bands: Names, in the order of the channels.
        unit: Of the values before scaling.
        scaling: "clip2std": clip(x, m - 2s, m + 2s), then to 0 ... 1; "clip2std_uint8": the same
            cut down to whole 255ths on the way; "standard": (x - m) / s; "range_uint8": from
            low ... high to whole 255ths of 0 ... 1, called u, then (u - m) / s; "amplitude_uint8":
            the same of the amplitude 10^(x / 20), for x in dB.
        mean: m of each band, in the unit; where u is taken, of u.
        std: s of each band, likewise.
        low: Lower end of each band where u is taken, else empty.
        high: Upper end of each band where u is taken, else empty.
    """

    modality: Modality
    bands: tuple[str, ...]
    unit: str
    scaling: InputScale
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "InputContract":
        """From the values that `to_dict` gave."""
        return cls(
            modality=values["modality"],
            bands=tuple(values["bands"]),
            unit=values["unit"],
            scaling=values["scaling"],
            mean=tuple(values["mean"]),
            std=tuple(values["std"]),
            low=tuple(values.get("low", ())),
            high=tuple(values.get("high", ())),
        )


def band_names(modality: Modality, s2_bands: int = 13) -> tuple[str, ...]:
    """Bands of a modality in the order of its channels.

    Args:
        modality: "s1" or "s2".
        s2_bands: How many bands of Sentinel-2: 13 or 9.
    """
    if modality == "s2" and s2_bands == len(NINE_BANDS):
        return NINE_BANDS
    return tuple(band.name for band in cube_bands(_SENSORS[modality]))


def contract_of(
    modality: Modality,
    bands: tuple[str, ...],
    scaling: InputScale,
    statistics: Mapping[str, Mapping[str, float]],
) -> InputContract:
    """The contract of a network that is trained on a store.

    Args:
        modality: "s1" or "s2".
        bands: Names, in the order of the channels.
        scaling: As in `InputContract`.
        statistics: By band, with "mean" and "std" in the modality's unit.

    Raises:
        PipelineError: A band has no statistics.
    """
    missing = [name for name in bands if not {"mean", "std"} <= statistics.get(name, {}).keys()]
    if missing:
        raise PipelineError(
            f"the store has no mean and std of {modality} {', '.join(missing)}; "
            "run `snakemake build_nol` to its end, which computes them"
        )
    constant = [name for name in bands if not statistics[name]["std"] > 0]
    if constant:
        raise PipelineError(
            f"{modality} {', '.join(constant)} has a standard deviation of 0, "
            "so nothing can be scaled by it; check the pixels of the store"
        )
    return InputContract(
        modality=modality,
        bands=bands,
        unit=UNITS[modality],
        scaling=scaling,
        mean=tuple(float(statistics[name]["mean"]) for name in bands),
        std=tuple(float(statistics[name]["std"]) for name in bands),
    )


class InputScaling(nn.Module):
    """Carries out the scaling of a contract on batches."""

    low: Tensor
    span: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, contract: InputContract) -> None:
        super().__init__()
        mean = torch.tensor(contract.mean, dtype=torch.float64)
        std = torch.tensor(contract.std, dtype=torch.float64)
        low, span = mean - 2 * std, 4 * std
        if contract.low:
            low = torch.tensor(contract.low, dtype=torch.float64)
            span = torch.tensor(contract.high, dtype=torch.float64) - low
        self._scaling = contract.scaling
        for name, values in (("low", low), ("span", span), ("mean", mean), ("std", std)):
            self.register_buffer(name, values.float().view(-1, 1, 1), persistent=False)

    def forward(self, values_BCHW: Tensor) -> Tensor:
        """Scale values in the contract's unit; no data ends at the lower end if clipped.

        Args:
            values_BCHW: float32.
        """
        if self._scaling == "standard":
            return (values_BCHW - self.mean) / self.std
        if self._scaling == "clip2std":
            return ((values_BCHW - self.low) / self.span).clamp(0.0, 1.0)
        if self._scaling == "clip2std_uint8":
            return _whole_255ths((values_BCHW - self.low) / self.span * 255.0)
        if self._scaling == "amplitude_uint8":
            values_BCHW = torch.pow(10.0, values_BCHW / 20.0)
        # Multiplied first, since whole steps (x // 32) must not fall short of themselves.
        share_BCHW = _whole_255ths((values_BCHW - self.low) * 255.0 / self.span)
        return (share_BCHW - self.mean) / self.std


def _whole_255ths(steps_BCHW: Tensor) -> Tensor:
    return steps_BCHW.clamp(0.0, 255.0).trunc() / 255.0
