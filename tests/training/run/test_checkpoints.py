"""A checkpoint is there whole, under every name it should have, or not at all."""

import resource
from types import SimpleNamespace

import pytest
import torch

from training.run.checkpoints import AtomicCheckpointIO, RunCheckpoints, read_training_state


def test_a_full_disk_is_named_as_such_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(path)
    assert [found.name for found in tmp_path.iterdir()] == ["last.ckpt"]
    assert read_training_state(path) == {"epoch": 1}


def test_other_names_are_there_before_the_run_counts_as_saved(tmp_path):
    """As if killed in between: `last` cannot be replaced."""
    (tmp_path / "last.ckpt" / "in the way").mkdir(parents=True)
    trainer = SimpleNamespace(
        current_epoch=3, is_global_zero=True, save_checkpoint=lambda path: path.write_text("state")
    )
    with pytest.raises(OSError):
        RunCheckpoints(tmp_path, every=2).on_train_epoch_end(
            trainer, SimpleNamespace(validation_loss=0.5)
        )
    assert (tmp_path / "best.ckpt").read_text() == "state"
    assert (tmp_path / "epoch-0003.ckpt").read_text() == "state"
