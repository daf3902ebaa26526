"""A checkpoint is there whole, under every name it should have, or not at all."""

import resource

import pytest
import torch

from training.run.checkpoints import AtomicCheckpointIO, read_training_state


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
