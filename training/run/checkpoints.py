"""Checkpoints of a run: last, best, and every so many epochs; each appears whole or not at all."""

import pickle
import shutil
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from pipeline.atomic_file import PARTIAL_SUFFIX, atomic_file
from pipeline.errors import PipelineError
from training.run.cromss_task import IDENTITY, CromssTask, NotFinite

_NEXT = "next.ckpt"
LAST = "last.ckpt"
BEST = "best.ckpt"
STOPPED = "stopped.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint so that a killed run leaves the old one or the new one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write to a temporary file, sync, rename.

        Raises:
            OSError: The disk is full, or the place cannot be written to.
        """
        with atomic_file(Path(path)) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # The archive's end, written in vain, hides what the disk had said.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise


class RunCheckpoints(Checkpoint):
    """Saves at the end of each epoch, after validation and after the schedule has moved on.

    Args:
        folder: Where the files go.
        every: Epochs between checkpoints that are kept.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self._folder = folder
        self._every = every
        self._best = float("inf")

    def state_dict(self) -> dict[str, Any]:
        """The best loss so far: a run that goes on must not take a worse one for the best."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best loss so far."""
        self._best = state_dict["best"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the state once; what else this epoch calls for is another name of the same file.

        `last` comes last: a run that is killed in between does the epoch again, names included.
        """
        loss = cast(CromssTask, pl_module).validation_loss
        epoch = trainer.current_epoch
        is_best = loss is not None and loss < self._best
        if is_best:
            self._best = cast(float, loss)
        saved = self._folder / _NEXT
        trainer.save_checkpoint(saved)
        if not trainer.is_global_zero:
            return
        if is_best:
            _give_name(saved, self._folder / BEST)
        if (epoch + 1) % self._every == 0:
            _give_name(saved, self._folder / f"epoch-{epoch:04d}.ckpt")
        saved.replace(self._folder / LAST)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Save the state that a bad loss was found in."""
        if isinstance(exception, NotFinite):
            trainer.save_checkpoint(self._folder / STOPPED)


def last_checkpoint(folder: Path, identity: dict[str, Any], epochs: int) -> Path | None:
    """The checkpoint to go on from, if there is one.

    Args:
        folder: Of the checkpoints.
        identity: Of the run that is about to start.
        epochs: That it is to be trained for.

    Raises:
        PipelineError: The checkpoint is damaged, of a run with another recipe, or of one that was
            trained for longer.
    """
    path = folder / LAST
    if not path.exists():
        return None
    state = read_training_state(path)
    found = state.get(IDENTITY)
    if not isinstance(found, dict):
        raise PipelineError(f"{path} is no checkpoint of a run of ours; move it away")
    differences = [
        f"{key} {found.get(key)!r} -> {identity.get(key)!r}"
        for key in sorted(found.keys() | identity.keys())
        if found.get(key) != identity.get(key)
    ]
    if differences:
        raise PipelineError(
            f"{path} belongs to another model or recipe ({', '.join(differences)}); "
            "undo the change, give the run another name, or move the folder away"
        )
    # Lightning counts the epoch that a checkpoint ends as one from 0.
    trained = state["epoch"] + 1
    if trained > epochs:
        raise PipelineError(
            f"{path} has been trained for {trained} epochs, and {epochs} are asked for; "
            "raise epochs of the run, give it another name, or move the folder away"
        )
    return path


def read_training_state(path: Path) -> dict[str, Any]:
    """Everything in a checkpoint, onto the CPU; nothing in it is run.

    Raises:
        PipelineError: The file is missing or damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise PipelineError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); "
            "move it away to begin again, or put back a good one"
        ) from None
    return dict(state)


def _give_name(path: Path, name: Path) -> None:
    """Let a second name stand for a file; `last` is replaced, not overwritten, so it stays."""
    link = name.with_name(f".{name.name}{PARTIAL_SUFFIX}")
    link.unlink(missing_ok=True)
    try:
        link.hardlink_to(path)
    except OSError:
        # Some network file systems have no hard links.
        shutil.copyfile(path, link)
    link.replace(name)
