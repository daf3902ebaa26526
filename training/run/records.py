"""What a run leaves behind while it trains: table, curves, panels, and a line per epoch."""

import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from pipeline.atomic_file import write_atomically
from training.loading.data_module import PretrainData
from training.run.cromss_task import CromssTask
from training.run.metric_table import ALL, Measurement, MetricTable
from training.run.pictures import draw_curves, draw_panels, pixels, png


class RunRecords(L.Callback):
    """Writes the figures of each epoch to the table, to the loggers and to the terminal.

    Args:
        folder: Of the run.
        title: Of the curves.
        draw_every: Epochs between two drawings of the curves.
    """

    def __init__(self, folder: Path, title: str, draw_every: int) -> None:
        self._folder = folder
        self._title = title
        self._draw_every = draw_every
        self._table: MetricTable | None = None
        self._started = 0.0
        self._trained = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to take the time; drop what a killed run measured after its last checkpoint."""
        self._started = time.monotonic()
        if self._table is None and trainer.is_global_zero:
            self._table = MetricTable(self._folder / "metrics.parquet", trainer.current_epoch)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Training of the epoch is over."""
        self._trained = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the figures on all ranks, write them on the first."""
        task = cast(CromssTask, pl_module)
        rows = task.epoch_measurements()
        samples = int(trainer.num_training_batches) * task.run.batch_size * trainer.world_size
        rate = samples / max(self._trained - self._started, 1e-9)
        rows.append(
            Measurement(trainer.current_epoch, "train", ALL, ALL, "samples_per_second", rate)
        )
        if self._table is None:
            return
        self._table.add(rows)
        figures = {row.key: row.value for row in rows}
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=trainer.current_epoch)
        if _is_due(trainer, self._draw_every):
            curves = draw_curves(self._table.frame(), self._title)
            write_atomically(self._folder / "curves.png", png(curves))
        # Through Lightning, which puts it above the progress bar.
        task.print(_line(trainer, figures), flush=True)


class Panels(L.Callback):
    """Draws a few validation samples now and then.

    Args:
        folder: Where the pictures go.
        title: Above each.
        every: Epochs between two pictures; the last epoch has one in any case.
        count: Samples in a picture.
    """

    def __init__(self, folder: Path, title: str, every: int, count: int) -> None:
        self._folder = folder
        self._title = title
        self._every = every
        self._count = count

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw on the first rank; the network is in evaluation mode here."""
        if not (_is_due(trainer, self._every) and trainer.is_global_zero and self._count):
            return
        epoch = trainer.current_epoch
        task = cast(CromssTask, pl_module)
        samples = cast(PretrainData, trainer.datamodule).validation  # type: ignore[attr-defined]
        places = np.linspace(0, len(samples) - 1, min(self._count, len(samples))).astype(int)
        stored = task.transfer_batch_to_device(
            samples.__getitems__(places.tolist()), task.device, 0
        )
        figure = draw_panels(task.preparation.contracts, *task.look(stored))
        figure.suptitle(self._title, fontsize=8)
        write_atomically(self._folder / f"epoch-{epoch:04d}.png", png(figure))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                picture = pixels(figure)
                logger.experiment.add_image("panels", picture, epoch, dataformats="HWC")


class ThroughputBar(TQDMProgressBar):
    """Lightning's progress bar with samples per second and the loss when last looked at."""

    def on_train_epoch_start(self, trainer: L.Trainer, *arguments: Any) -> None:
        """Begin to take the time."""
        super().on_train_epoch_start(trainer, *arguments)
        self._started = time.monotonic()
        self._batches = 0

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Count the batch before it is shown."""
        self._batches += 1
        super().on_train_batch_end(*arguments)

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What stands behind the bar."""
        task = cast(CromssTask, pl_module)
        samples = self._batches * task.run.batch_size * trainer.world_size
        seconds = max(time.monotonic() - self._started, 1e-9)
        return {"loss": f"{task.watched_loss:.3f}", "samples/s": f"{samples / seconds:.1f}"}


def _is_due(trainer: L.Trainer, every: int) -> bool:
    """The first epoch, then every so many, and the last."""
    epoch = trainer.current_epoch
    return epoch % every == 0 or epoch + 1 == trainer.max_epochs


def _line(trainer: L.Trainer, figures: dict[str, float]) -> str:
    scores = [
        f"{name} {figures[key]:.3f}"
        for name, key in (
            ("loss", "train/loss"),
            ("validation", "validation/loss"),
            ("mIoU S1", "validation/s1/miou"),
            ("mIoU S2", "validation/s2/miou"),
        )
        if key in figures
    ]
    rate = figures["train/samples_per_second"]
    epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
    return f"{epoch}: {', '.join(scores)}, {rate:.1f} samples/s"
