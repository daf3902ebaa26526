"""What a run of pretraining is made of, decided and checked before it starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.settings.pretrain import PretrainRun, PretrainSettings
from pipeline.store.object_path import StorePath, store_path
from training.run.gpus import takes_gpus
from training.run.preflight import require_land_cover, require_truth, usable_attributes


@dataclass(frozen=True)
class RunPlan:
    """Everything that is decided before a run starts.

    Attributes:
        name: Of the run.
        run: Its recipe.
        settings: Hardware and records.
        seed: Of all random draws.
        store: To train on.
        attributes: Of the store.
        output: Folder of the run.
    """

    name: str
    run: PretrainRun
    settings: PretrainSettings
    seed: int
    store: StorePath
    attributes: dict[str, Any]
    output: Path

    @property
    def title(self) -> str:
        """What stands above the run's pictures."""
        return f"{self.name} (SIMULATED data)" if self.attributes["simulated"] else self.name

    @property
    def ranks(self) -> int:
        """Processes of the run, on all machines."""
        return self.settings.devices * self.settings.nodes

    @property
    def on_gpu(self) -> bool:
        """Whether the run uses GPUs."""
        return takes_gpus(self.settings.accelerator)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.output / "checkpoints"

    @property
    def identity(self) -> dict[str, Any]:
        """What may not change between a checkpoint and the run that goes on from it."""
        recipe = self.run.model_dump(mode="json")
        del recipe["epochs"]
        return recipe | {"seed": self.seed, "store_hash": self.attributes["dataset_hash"]}


def plan_run(
    settings: PretrainSettings, name: str, seed: int, store: StorePath, output: Path
) -> RunPlan:
    """Check settings and store.

    Raises:
        PipelineError: There is no such run, or the store cannot be trained on.
    """
    if name not in settings.runs:
        known = ", ".join(settings.runs)
        raise PipelineError(f"there is no run {name!r} in pretrain.runs; known are {known}")
    run = settings.runs[name]
    attributes = usable_attributes(store, run)
    if settings.clean_store is not None:
        require_land_cover(store_path(settings.clean_store), settings.clean_split)
    if settings.truth_store is not None:
        require_truth(store_path(settings.truth_store), store, attributes)
    plan = RunPlan(name, run, settings, seed, store, attributes, output)
    if settings.precision == "16-mixed" and not plan.on_gpu:
        raise PipelineError("precision 16-mixed needs a GPU; choose bf16-mixed or 32-true")
    return plan
