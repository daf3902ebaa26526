"""Every tile is scored once, frozen is frozen, and the rate falls as released."""

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

from pipeline.errors import PipelineError
from tests.training.learnable_tiles import EMPTY, SIZE, TEST, UNLABELLED, small_plan, tile
from training.downstream.finetune import Protocol, learning_rate_at, score_tiles, train
from training.downstream.heads import build_segmenter, freeze
from training.downstream.tile_batch import CropRecipe, TileInputs
from training.encoders.table import encoder_table
from training.encoders.vit_pyramid import VitShape, build_vit
from training.evaluate import build_network
from training.loading.samples import TileDataset

NUM_CLASSES = 9
VALID = [sample for sample in range(TEST) if sample != EMPTY]


class FirstBands(nn.Module):
    """Predicts from the pixel alone, so that the expected answer is easy to compute again."""

    def forward(self, image_BCHW):
        return image_BCHW[:, :NUM_CLASSES]


@pytest.fixture(scope="module")
def inputs(tile_store):
    _, contract = build_network(small_plan(tile_store))
    return TileInputs(contract)


@pytest.mark.parametrize("batch_size", [1, 4, 5, 100])
def test_counts_are_those_of_each_tile_whatever_the_batch(tile_store, inputs, batch_size):
    counts = score_tiles(
        FirstBands(), inputs, TileDataset(tile_store, "test", ("s2",)), NUM_CLASSES, batch_size,
        torch.device("cpu"),
    )  # fmt: skip
    assert counts.dtype == torch.int64
    for tile_counts, sample in zip(counts, VALID, strict=True):
        pixels = tile("test", sample)
        cube, label = torch.from_numpy(pixels["s2"][None]), pixels["label"]
        predicted = inputs({"s2": cube}, (SIZE, SIZE))[0, :NUM_CLASSES].argmax(0).numpy()
        expected = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
        np.add.at(expected, (label[label != 255], predicted[label != 255]), 1)
        assert np.array_equal(tile_counts.numpy(), expected)
    assert int(counts[VALID.index(UNLABELLED)].sum()) == 0


TRANSFORMERS = [entry for entry in encoder_table() if entry.kind.endswith("vit_large")]


@pytest.mark.parametrize(
    "entry", TRANSFORMERS, ids=[f"{entry.name}-{entry.modality}" for entry in TRANSFORMERS]
)
def test_frozen_leaves_every_number_of_a_transformer(tile_store, entry):
    torch.manual_seed(0)
    encoder = build_vit(entry, VitShape(width=32, depth=4, heads=2))
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    network = build_segmenter("upernet", freeze(encoder), NUM_CLASSES)
    head = network.segmentation_head[0].weight.clone()
    inputs = TileInputs(entry.contract(entry.bands, None))
    fabric = Fabric(accelerator="cpu", devices=1)
    protocol = Protocol(1, 5e-2, 1e-5, 0.8, 1e-2, 5, CropRecipe(32, 0.5, 0.2, 0))
    data = {name: TileDataset(tile_store, name, (entry.modality,)) for name in ("train", "test")}
    prepared = fabric.setup_module(network)
    train(fabric, prepared, inputs, data["train"], protocol, NUM_CLASSES)
    score_tiles(network, inputs, data["test"], NUM_CLASSES, 4, fabric.device)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name
    assert not torch.equal(head, network.segmentation_head[0].weight)


def test_the_rate_falls_as_released():
    protocol = Protocol(50, 5e-4, 1e-5, 0.8, 0.0, 32, CropRecipe(None, 0.5, 0.2, 0))
    assert learning_rate_at(0, protocol) == 5e-4
    assert learning_rate_at(20, protocol) == pytest.approx((5e-4 + 1e-5) / 2)
    assert [learning_rate_at(epoch, protocol) for epoch in (40, 49)] == [1e-5, 1e-5]


class Watched(nn.Module):
    """Writes down how it is trained: mode, left-over gradient, and a sum of each image."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(13, NUM_CLASSES, 1)
        self.training_modes, self.fresh, self.sums = [], [], []

    def forward(self, image_BCHW):
        gradient = self.layer.weight.grad
        self.training_modes.append(self.training)
        self.fresh.append(gradient is None or not gradient.any())
        self.sums.append([round(value, 2) for value in image_BCHW.double().sum((1, 2, 3)).tolist()])
        return self.layer(image_BCHW)


class RateFabric(Fabric):
    """Keeps the optimizer, to read its rate after every step."""

    rates: list[float]

    def setup_optimizers(self, *optimizers):
        self.optimizer = super().setup_optimizers(*optimizers)
        self.rates = []
        return self.optimizer

    def backward(self, *arguments, **options):
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        super().backward(*arguments, **options)


@pytest.mark.parametrize("recipe", [CropRecipe(None, 0.0, 0.0, 3), CropRecipe(16, 0.0, 0.0, 3)])
def test_every_epoch_has_its_rate_its_order_and_its_crops(tile_store, inputs, recipe):
    network, fabric = Watched(), RateFabric(accelerator="cpu", devices=1)
    data = {name: TileDataset(tile_store, name, ("s2",)) for name in ("train", "test")}
    protocol = Protocol(4, 1e-2, 1e-5, 0.75, 0.0, len(data["train"]), recipe)
    prepared = fabric.setup_module(network.eval())
    train(fabric, prepared, inputs, data["train"], protocol, NUM_CLASSES)
    assert network.training_modes == network.fresh == [True] * 4
    assert fabric.rates == pytest.approx([learning_rate_at(epoch, protocol) for epoch in range(4)])
    assert fabric.rates[0] == 1e-2 and fabric.rates[3] == pytest.approx(1e-5)
    assert len({tuple(sums) for sums in network.sums}) == 4
    contents = {tuple(sorted(sums)) for sums in network.sums}
    assert len(contents) == (1 if recipe.crop is None else 4)
    score_tiles(network.train(), inputs, data["test"], NUM_CLASSES, 4, fabric.device)
    assert set(network.training_modes[4:]) == {False}


def test_labels_beyond_the_classes_are_refused(tile_store, inputs):
    data = TileDataset(tile_store, "test", ("s2",))
    with pytest.raises(PipelineError, match="has the label 3, the task has the classes 0 to 2"):
        score_tiles(FirstBands(), inputs, data, 3, 4, torch.device("cpu"))


def test_a_loss_that_is_no_number_ends_the_training(tile_store, inputs):
    network = nn.Conv2d(13, NUM_CLASSES, 1)
    nn.init.constant_(network.weight, float("nan"))
    fabric = Fabric(accelerator="cpu", devices=1)
    protocol = Protocol(1, 1e-3, 1e-5, 0.8, 0.0, 5, CropRecipe(32, 0.5, 0.2, 0))
    data = TileDataset(tile_store, "train", ("s2",))
    prepared = fabric.setup_module(network)
    with pytest.raises(PipelineError, match="the loss of epoch 0 is nan; lower evaluate.learning"):
        train(fabric, prepared, inputs, data, protocol, NUM_CLASSES)


class NoNumbers(FirstBands):
    """Half-precision networks overflow so."""

    def forward(self, image_BCHW):
        logits = super().forward(image_BCHW).clone()
        logits[..., 0] = float("nan")
        return logits


def test_what_is_no_number_does_not_count_as_a_class(tile_store, inputs):
    data = TileDataset(tile_store, "test", ("s2",))
    with pytest.raises(
        PipelineError, match="logits on the scored tiles are NaN or infinite; set e"
    ):
        score_tiles(NoNumbers(), inputs, data, NUM_CLASSES, 4, torch.device("cpu"))
