"""What a card prints is run as it stands, and loads the weights."""

import re

import pytest
import torch

from tests.training.finished_run import write_run
from training.encoders.export import read_encoder
from training.encoders.loading_snippets import is_resnet, loading_snippets


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snippets") / "midF"
    write_run(folder)
    path = folder / "encoders" / "s2.safetensors"
    return path, *read_encoder(path)


def test_every_snippet_loads_the_weights(exported):
    path, weights, description = exported
    blocks = re.findall(r"```python\n(.*?)```", loading_snippets(description, str(path)), re.DOTALL)
    assert [re.search(r"import (\w+)|from (\w+)", block)[0].split()[1] for block in blocks] == [
        "safetensors", "timm", "torchgeo",
    ]  # fmt: skip
    for block in blocks:
        if "torchgeo" in block:
            pytest.importorskip("torchgeo")
        names = {}
        exec(block, names)  # noqa: S102 - our own text, which people paste
        found = names["network"].encoder if "network" in names else names["encoder"]
        assert torch.equal(
            found.state_dict()["layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"]
        )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("resnet18", True), ("resnet152", True), ("resnext50_32x4d", False), ("tu-resnet18", False)],
)
def test_only_plain_resnets_share_their_names(name, expected):
    assert is_resnet(name) is expected
