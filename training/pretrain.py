"""Train one run: ``python -m training.pretrain --settings FILE --run midF --store nol.zarr ...``.

The same command goes on where a killed run stopped. What a run leaves in its folder: ``run.json``
(resolved recipe, code version, store hash, input contracts), ``metrics.parquet``, ``curves.png``,
``panels/``, ``checkpoints/``, ``tensorboard/`` and, at the end, ``encoders/``.
"""

import argparse
import importlib.util
import json
import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from pipeline.atomic_file import remove_partial_files, write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.fingerprints import code_version
from pipeline.settings.tree import load_settings
from pipeline.store.object_path import store_path
from training.encoders.export import ExportedEncoder, export_encoders
from training.loading.data_module import PretrainData
from training.run.checkpoints import STOPPED, AtomicCheckpointIO, RunCheckpoints, last_checkpoint
from training.run.cromss_task import CromssTask, NotFinite
from training.run.gpus import gpus_of_this_run, installed_gpus
from training.run.plan import RunPlan, plan_run
from training.run.preflight import contracts_of
from training.run.records import Panels, RunRecords, ThroughputBar
from training.run.signals import EndsWhenTold
from training.run.sole_run import sole_run


def pretrain(plan: RunPlan) -> list[Path]:
    """Train a run to its end, from its last checkpoint if there is one.

    Returns:
        The files of the exported encoders.

    Raises:
        PipelineError: Something that must hold before the start does not, or the loss became NaN or
            infinite; then the state is saved beside the checkpoints.
    """
    data = PretrainData(plan.store, plan.run, plan.settings, plan.seed)
    data.require_enough_for(plan.ranks)
    resume_from = last_checkpoint(plan.checkpoints, plan.identity, plan.run.epochs)
    with gpus_of_this_run(plan.settings.devices if plan.on_gpu else 0, installed_gpus()):
        L.seed_everything(plan.seed, verbose=False)
        task = _make_task(plan, data)
        trainer = _make_trainer(plan)
        _describe(plan, task, data, resume_from)
        with _errors_in_one_line(plan, data):
            trainer.fit(task, datamodule=data, ckpt_path=resume_from, weights_only=True)
        return _export(plan, task, trainer.current_epoch - 1) if trainer.is_global_zero else []


def _make_task(plan: RunPlan, data: PretrainData) -> CromssTask:
    scored = ["validation"]
    if plan.settings.truth_store is not None:
        scored.append("truth")
    if data.clean is not None:
        scored.append("clean")
    return CromssTask(
        run=plan.run,
        contracts=contracts_of(plan.run, plan.attributes),
        seed=plan.seed,
        identity=plan.identity,
        scored=tuple(scored),
        log_every=plan.settings.log_every,
        compile_choice=plan.settings.compile,
    )


def _make_trainer(plan: RunPlan) -> L.Trainer:
    settings = plan.settings
    _quieten_lightning()
    return L.Trainer(
        accelerator="gpu" if plan.on_gpu else "cpu",
        devices=settings.devices,
        num_nodes=settings.nodes,
        # Gradients are averaged where they lie, instead of in a copy.
        strategy=DDPStrategy(gradient_as_bucket_view=True) if plan.ranks > 1 else "auto",
        precision=settings.precision,
        deterministic=settings.deterministic,
        benchmark=not settings.deterministic,
        max_epochs=plan.run.epochs,
        accumulate_grad_batches=plan.run.accumulate,
        log_every_n_steps=settings.log_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        default_root_dir=plan.output,
        logger=_make_loggers(plan),
        plugins=_make_plugins(),
        callbacks=_make_callbacks(plan),
        # A log file gets a line per epoch instead.
        enable_progress_bar=sys.stderr.isatty(),
    )


def _make_plugins() -> list[Any]:
    plugins: list[Any] = [AtomicCheckpointIO()]
    if SLURMEnvironment.detect():
        # Lightning would save in mid-epoch before Slurm requeues the job, and could not go on from
        # there exactly.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return plugins


def _make_callbacks(plan: RunPlan) -> list[L.Callback]:
    settings = plan.settings
    callbacks: list[L.Callback] = [
        EndsWhenTold(),
        RunRecords(plan.output, plan.title, settings.panels_every),
        Panels(plan.output / "panels", plan.title, settings.panels_every, settings.panel_samples),
        RunCheckpoints(plan.checkpoints, settings.checkpoint_every),
    ]
    if sys.stderr.isatty():
        callbacks.append(ThroughputBar(refresh_rate=settings.log_every))
    return callbacks


def _make_loggers(plan: RunPlan) -> list[Logger]:
    loggers: list[Logger] = [TensorBoardLogger(plan.output, name="", version="tensorboard")]
    project = plan.settings.wandb_project
    if project is not None:
        if importlib.util.find_spec("wandb") is None:
            raise PipelineError(
                "pretrain.wandb_project is set but wandb is not installed; "
                "`pip install wandb` or set it to null"
            )
        same_run = f"{plan.name}-{plan.attributes['dataset_hash']}"
        loggers.append(
            WandbLogger(name=plan.name, project=project, save_dir=plan.output, id=same_run)
        )
    return loggers


def _quieten_lightning() -> None:
    """Leave out advice that does not apply: sampler and workers are chosen with care."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for advice in (
        "does not have many workers",
        "Checkpoint directory",
        "number of training batches",
        "LeafSpec",
        "`srun` command is available",
    ):
        warnings.filterwarnings("ignore", message=f".*{advice}.*")


@rank_zero_only
def _describe(
    plan: RunPlan, task: CromssTask, data: PretrainData, resume_from: Path | None
) -> None:
    """Say what is about to be trained on what, on the terminal and in ``run.json``."""
    remove_partial_files(plan.output)
    contracts = {name: c.to_dict() for name, c in task.preparation.contracts.items()}
    description = {
        "run": plan.name,
        "recipe": plan.run.model_dump(mode="json"),
        "settings": plan.settings.model_dump(mode="json", exclude={"runs"}),
        "seed": plan.seed,
        "code_version": code_version(),
        "store": str(plan.store),
        "store_hash": plan.attributes["dataset_hash"],
        "simulated": plan.attributes["simulated"],
        "train_samples": len(data.train),
        "validation_samples": len(data.validation),
        "contracts": contracts,
    }
    content = json.dumps(description, indent=2).encode() + b"\n"
    write_atomically(plan.output / "run.json", content)
    origin = "SIMULATED data, " if plan.attributes["simulated"] else ""
    going_on = f", going on from {resume_from}" if resume_from else ""
    print(
        f"{plan.name}: {origin}{len(data.train)} training and {len(data.validation)} validation "
        f"samples{going_on}",
        flush=True,
    )


def _export(plan: RunPlan, task: CromssTask, epoch: int) -> list[Path]:
    """The encoders as they are at the end of the last epoch."""
    descriptions = {
        modality: ExportedEncoder(
            encoder=plan.run.encoder,
            contract=contract,
            run=plan.name,
            epoch=epoch,
            code_version=code_version(),
            store_hash=plan.attributes["dataset_hash"],
            simulated=plan.attributes["simulated"],
        )
        for modality, contract in task.preparation.contracts.items()
    }
    return export_encoders(plan.output / "encoders", task.net, descriptions)


@contextmanager
def _errors_in_one_line(plan: RunPlan, data: PretrainData) -> Iterator[None]:
    """Say of what a person can mend how to mend it."""
    try:
        yield
    except NotFinite as error:
        raise PipelineError(_explain(error, plan, data)) from None
    except PipelineError as error:
        raise PipelineError(_without_worker_traceback(str(error))) from None
    except torch.OutOfMemoryError:
        raise PipelineError(
            f"the GPU has too little memory for batches of {plan.run.batch_size}; lower batch_size "
            "of the run (and raise accumulate), or set pretrain.precision to bf16-mixed"
        ) from None
    except RuntimeError as error:
        if not _tells_of_a_kill(error):
            raise
        raise PipelineError(
            "a process that reads samples was killed, as happens when memory runs out; "
            "lower pretrain.workers or pretrain.prefetch"
        ) from None
    except SystemExit as ended:
        # What Lightning makes of Ctrl-C.
        if isinstance(ended.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        # And of SIGTERM, before `EndsWhenTold` is at work: it would end with code 0.
        raise SystemExit(ended.code or 128 + signal.SIGTERM) from None


def _explain(error: NotFinite, plan: RunPlan, data: PretrainData) -> str:
    """One line for the person, and the same as JSON beside the saved state."""
    where = f"the state is saved in {plan.checkpoints / STOPPED}"
    remedy = "lower learning_rate of the run, or look at these samples"
    if error.batch is None:
        return f"{error}; {where}; {remedy}"
    number, samples = error.batch
    names = dict(zip(data.train.samples.tolist(), data.train.ids, strict=True))
    ids = [names[sample] for sample in samples]
    record = {"epoch": error.epoch, "batch": number, "samples": samples, "ids": ids}
    write_atomically(plan.output / "stopped.json", json.dumps(record).encode() + b"\n")
    return f"{error} in batch {number} with the samples {', '.join(ids)}; {where}; {remedy}"


def _tells_of_a_kill(error: BaseException | None) -> bool:
    """Whether a loader's worker was killed; the first of several errors in a row says so."""
    if error is None:
        return False
    return "killed by signal" in str(error) or _tells_of_a_kill(error.__context__)


def _without_worker_traceback(message: str) -> str:
    """The line of an error that a loader's worker sent with its whole traceback."""
    return message.rsplit("PipelineError: ", 1)[-1].strip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.pretrain``."""
    parser = argparse.ArgumentParser(prog="python -m training.pretrain", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--run", required=True, help="name of a run in pretrain.runs")
    parser.add_argument("--store", type=store_path, required=True, help="nol.zarr, or a URL of one")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--max-epochs", type=int, help="stop after so many epochs")
    options = parser.parse_args(arguments)
    settings = load_settings(options.settings)
    plan = plan_run(settings.pretrain, options.run, settings.seed, options.store, options.output)
    if options.max_epochs is not None:
        plan = replace(plan, run=plan.run.model_copy(update={"epochs": options.max_epochs}))
    with sole_run(plan.output):
        for path in pretrain(plan):
            print(f"{options.run}: {path}", flush=True)


if __name__ == "__main__":
    run_step(main)
