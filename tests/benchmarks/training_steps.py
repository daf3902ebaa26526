"""Steps of pretraining on made-up stored integers: what the step and scaling benchmarks time."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from pipeline.settings.pretrain import PretrainRun
from training.cromss.networks import build_network, logits_by_modality
from training.cromss.objective import Objective, RunLoss
from training.loading.batch import BatchPreparation, NetworkBatch
from training.loading.inputs import UNITS, InputContract, band_names
from training.loading.samples import NUM_CLASSES, StoredBatch
from training.run.compilation import compiled

EPOCH = 40
FRAME = 264
_NATIVE = {"s2_10m": (4, 1), "s2_20m": (6, 2), "s2_60m": (3, 6)}


def stored_batch(samples: int, device: str, frame: int = FRAME, seed: int = 3) -> StoredBatch:
    """Noise as reflectance and backscatter, blocks of 24 pixels as labels."""
    draw = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.randint(low, high, shape, generator=draw).to(dtype).to(device)

    imagery = {
        name: integers(200, 4000, (samples, bands, frame // step, frame // step), torch.uint16)
        for name, (bands, step) in _NATIVE.items()
    }
    imagery["s1"] = integers(-2500, 0, (samples, 2, frame, frame), torch.int16)
    blocks = integers(0, NUM_CLASSES, (samples, 4, frame // 24, frame // 24), torch.uint8)
    return StoredBatch(
        epoch=EPOCH,
        sample_B=torch.arange(samples, device=device),
        season_B=integers(0, 4, (samples,), torch.int64),
        imagery=imagery,
        labels_BTHW=blocks.repeat_interleave(24, 2).repeat_interleave(24, 3),
        truth_BHW=None,
    )


def preparation(run: PretrainRun) -> BatchPreparation:
    """Scaling by round numbers; the time does not depend on them."""
    mean = {"s1": -12.0, "s2": 1500.0}
    contracts = {}
    for modality in run.modalities:
        bands = band_names(modality, run.bands)
        contracts[modality] = InputContract(
            modality=modality,
            bands=bands,
            unit=UNITS[modality],
            scaling=run.scaling,
            mean=(mean[modality],) * len(bands),
            std=(abs(mean[modality]) / 3,) * len(bands),
        )
    return BatchPreparation(contracts, run, seed=0)


class Trainee:
    """A network with its optimiser, as `training.run.cromss_task` sets them up."""

    def __init__(
        self,
        run: PretrainRun,
        device: str,
        wrap: Callable[[nn.Module], nn.Module] = lambda net: net,
        compile_it: bool = False,
        autocast: torch.dtype | None = None,
    ) -> None:
        torch.manual_seed(0)
        net = build_network(run).to(device, memory_format=torch.channels_last)
        self.net = wrap(net)
        self.loss: Callable[..., Objective] = RunLoss(run, training=True).forward
        self._forward: Callable[..., dict[str, Tensor]] = partial(logits_by_modality, self.net)
        if compile_it:
            self.loss = compiled(self.loss, deterministic=False)
            self._forward = compiled(self._forward, deterministic=False)
        self.optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
        self._device = device
        self._autocast = autocast

    def logits(self, batch: NetworkBatch) -> dict[str, Tensor]:
        """Of both modalities, under autocast where asked for."""
        enabled = self._autocast is not None
        with torch.autocast(self._device, dtype=self._autocast, enabled=enabled):
            return self._forward(batch.images)

    def step(self, objective: Tensor) -> None:
        """Backward, and one step of the optimiser."""
        self.optimizer.zero_grad(set_to_none=True)
        objective.backward()
        self.optimizer.step()


def seconds(call: Callable[[], object], device: str, repeats: int = 1) -> float:
    """Wall time of one call."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    _wait(device)
    return (time.perf_counter() - start) / repeats


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
