"""One run as Lightning sees it: network, loss, optimiser, and what is counted in an epoch.

Every step stays on the device. Sums are read when an epoch ends, the loss every few steps.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pipeline.errors import PipelineError
from pipeline.settings.pretrain import Compile, Precision, PretrainRun
from training.cromss.fusion import Modality
from training.cromss.networks import build_network, logits_by_modality
from training.cromss.objective import Objective, RunLoss
from training.loading.batch import BatchPreparation, NetworkBatch
from training.loading.inputs import InputContract
from training.loading.samples import StoredBatch
from training.run.compilation import CompiledOnTrial, chosen_compilation
from training.run.epoch_tallies import TrainingTallies, ValidationTallies
from training.run.loss_watch import LossWatch
from training.run.metric_table import ALL, Measurement

IDENTITY = "pretraining"
"""Entry of a checkpoint that says which run it belongs to."""

_PLATEAU = "plateau"

# Of torch's ReduceLROnPlateau; relative, as released.
_PLATEAU_THRESHOLD = 1e-4


class CromssTask(L.LightningModule):
    """Trains the network of a run.

    Args:
        run: The recipe.
        contracts: Input of each modality.
        seed: Of augmentation and random layers.
        identity: Plain values that are written into checkpoints.
        scored: Kinds of labels that there are: "validation", and maybe "truth" and "clean".
        log_every: Steps between two looks at the loss.
        compile_choice: What to compile; see `training.run.compilation`.

    Attributes:
        net: The network; its weights are the only ones in a checkpoint.
        watched_loss: The loss when last looked at.
    """

    def __init__(
        self,
        run: PretrainRun,
        contracts: dict[Modality, InputContract],
        seed: int,
        identity: dict[str, Any],
        scored: tuple[str, ...] = ("validation",),
        log_every: int = 20,
        compile_choice: Compile = False,
    ) -> None:
        super().__init__()
        self.run = run
        self.net = build_network(run).to(memory_format=torch.channels_last)
        self.preparation = BatchPreparation(contracts, run, seed)
        self.watched_loss = float("nan")
        self._seed = seed
        self._identity = identity
        self._scored = scored
        self._log_every = log_every
        self._compile_choice: Compile = compile_choice
        self._validation_loss = RunLoss(run, training=False)
        self._weighing = RunLoss(run, training=True)
        self._training_loss: Callable[..., Objective] = self._weighing.forward
        self._training_logits: Callable[..., dict[Modality, Tensor]] = self._logits
        self._plateau: ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None
        self._rows: list[Measurement] = []

    def setup(self, stage: str) -> None:
        """Join the ranks' batches if the run asks for it; compile what is worth it.

        Raises:
            PipelineError: Compiling is insisted on and fails.
        """
        is_joint = self.run.selection.scope == "global" and self.trainer.world_size > 1
        if is_joint:
            self._training_loss = RunLoss(self.run, True, dist.group.WORLD).forward
        deterministic = torch.are_deterministic_algorithms_enabled()
        precision = cast(Precision, self.trainer.precision)
        parts, remark = chosen_compilation(
            self._compile_choice,
            self.run,
            precision,
            self.trainer.strategy.root_device,
            deterministic,
        )
        self.print(remark, flush=True)
        compile_on_trial = partial(
            CompiledOnTrial,
            deterministic=deterministic,
            insisted=self._compile_choice is True,
            say=partial(self.print, flush=True),
        )
        if "networks" in parts:
            self._training_logits = compile_on_trial(self._logits)
        # The sums over ranks inside of a joint loss are not for the compiler.
        if "loss" in parts and not is_joint:
            self._training_loss = compile_on_trial(self._weighing.forward)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, and the plateau schedule that this class steps itself.

        Lightning would step it after the checkpoint of the epoch is written, so that a run that
        goes on would miss a step.
        """
        run = self.run
        optimizer = torch.optim.Adam(
            self.net.parameters(), lr=run.learning_rate, weight_decay=run.weight_decay, fused=True
        )
        self._plateau = ReduceLROnPlateau(
            optimizer,
            factor=run.plateau_factor,
            patience=run.plateau_patience,
            threshold=_PLATEAU_THRESHOLD,
        )
        if self._plateau_state is not None:
            self._plateau.load_state_dict(self._plateau_state)
        return optimizer

    def on_train_start(self) -> None:
        """Begin to watch the loss."""
        remembered = self._log_every + 2 * self.trainer.accumulate_grad_batches
        self._watch = LossWatch(self.device, remembered)

    def on_train_epoch_start(self) -> None:
        """Begin new sums, and new numbers for layers that draw some, such as drop path.

        They are those of the epoch and the rank, whether or not the run was stopped before.
        """
        drawn = np.random.SeedSequence((self._seed, self.current_epoch, self.global_rank))
        torch.manual_seed(int(drawn.generate_state(1)[0]))
        # As a tensor, so that a compiled loss is not compiled again for every epoch.
        self._epoch = torch.full((), self.current_epoch, device=self.device)
        self._sums = TrainingTallies(self._weighing.part_names, self._modalities, self.device)
        self._learning_rate = self.trainer.optimizers[0].param_groups[0]["lr"]

    def training_step(self, stored: StoredBatch, batch_number: int) -> Tensor:
        """Loss of one batch."""
        if stored.epoch != self.current_epoch:
            raise RuntimeError(f"batch of epoch {stored.epoch} in epoch {self.current_epoch}")
        batch = self.preparation.training_batch(stored)
        logits = self._training_logits(batch.images)
        objective = self._training_loss(logits, batch, self._epoch)
        self._loss = objective.total.detach()
        self._watch.add(batch_number, self._loss, batch.sample_B)
        self._sums.add(objective, batch, with_weights=self._is_looked_at(batch_number))
        return objective.total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep a bad gradient out of the weights, without waiting for the device."""
        # With float16 the gradient scaler does this by itself, and sets the attribute itself.
        if self.trainer.precision != "16-mixed":
            optimizer.found_inf = self._watch.skip_flag()  # type: ignore[attr-defined]

    def on_train_batch_end(self, outputs: Any, stored: StoredBatch, batch_number: int) -> None:
        """Look at the loss now and then.

        Raises:
            NotFinite: It is NaN or infinite.
        """
        if not self._is_looked_at(batch_number):
            return
        if float(self._watch.skip_flag()) > 0:
            raise NotFinite(self.current_epoch, self._watch.bad_batch())
        self.watched_loss = float(self._loss)

    def on_validation_epoch_start(self) -> None:
        """Begin new sums."""
        self._scores = ValidationTallies(
            self._validation_loss.part_names, self._modalities, self._scored, self.device
        )

    def validation_step(
        self, stored: StoredBatch, batch_number: int, dataloader_idx: int = 0
    ) -> None:
        """Score full frames: noisy labels and truth of validation samples, or clean tiles."""
        batch = self.preparation.evaluation_batch(stored)
        logits = self._logits(batch.images)
        if dataloader_idx > 0:
            self._scores.score("clean", logits, batch.labels_BHW)
            return
        self._scores.score("validation", logits, batch.labels_BHW)
        objective = self._validation_loss(logits, batch, self.current_epoch)
        self._scores.add_loss(objective, len(stored.sample_B))
        if "truth" in self._scored and batch.truth_BHW is not None:
            self._scores.score("truth", logits, batch.truth_BHW)
            weights = self._weighing(logits, batch, self.current_epoch).weights
            self._scores.separate(weights, batch.labels_BHW, batch.truth_BHW)

    def on_validation_epoch_end(self) -> None:
        """Read the scores, and lower the learning rate if the loss has long not improved.

        Raises:
            NotFinite: The validation loss is NaN or infinite.
        """
        self._rows = self._scores.measurements(self.current_epoch)
        if self.trainer.sanity_checking or self._plateau is None:
            return
        loss = self.validation_loss
        if loss is None or not torch.tensor(loss).isfinite():
            raise NotFinite(self.current_epoch, None)
        self._plateau.step(loss)

    @property
    def validation_loss(self) -> float | None:
        """The validation loss of this epoch; None before it has been computed."""
        found = [row.value for row in self._rows if row.key == "validation/loss"]
        return found[0] if found else None

    def epoch_measurements(self) -> list[Measurement]:
        """All numbers of the epoch that just ended; every rank must ask for them."""
        rate = Measurement(
            self.current_epoch, "train", ALL, ALL, "learning_rate", self._learning_rate
        )
        return [*self._sums.measurements(self.current_epoch), rate, *self._rows]

    @torch.no_grad()
    def look(self, stored: StoredBatch) -> tuple[NetworkBatch, dict[Modality, Tensor], Objective]:
        """Inputs, predicted classes (B, H, W) and weights of a batch of validation samples."""
        batch = self.preparation.evaluation_batch(stored)
        logits = self._logits(batch.images)
        objective = self._weighing(logits, batch, self.current_epoch)
        classes = {name: logits_BCHW.argmax(1) for name, logits_BCHW in logits.items()}
        return batch, classes, objective

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which run this is, and where its schedule stands.

        No state of a random generator belongs here: all draws are functions of seed, epoch and
        sample.
        """
        checkpoint[IDENTITY] = self._identity
        if self._plateau is not None:
            checkpoint[_PLATEAU] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep the state of the schedule until there is one."""
        self._plateau_state = checkpoint.get(_PLATEAU)

    def _logits(self, images: dict[Modality, Tensor]) -> dict[Modality, Tensor]:
        return logits_by_modality(self.net, images)

    @property
    def _modalities(self) -> tuple[Modality, ...]:
        return self.run.modalities

    def _is_looked_at(self, batch_number: int) -> bool:
        is_last = batch_number + 1 == self.trainer.num_training_batches
        return is_last or batch_number % self._log_every == 0


class NotFinite(PipelineError):
    """The loss is NaN or infinite.

    Attributes:
        epoch: In which it happened.
        batch: Number and samples of the batch on this rank; None if it was another's, or the
            validation loss.
    """

    def __init__(self, epoch: int, batch: tuple[int, list[int]] | None) -> None:
        super().__init__(f"the loss of epoch {epoch} is NaN or infinite")
        self.epoch = epoch
        self.batch = batch
