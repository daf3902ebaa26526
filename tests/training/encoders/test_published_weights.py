"""Files that others published load from their layout; anything else is one line, and never run."""

import hashlib
import os
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from pipeline.errors import PipelineError
from pipeline.settings.encoders import WeightSettings
from tests.training.published import (
    PUBLISHED_EXTRAS,
    constants,
    identify,
    load,
    published_file,
    settings_for,
    tiny_vit_file,
)
from training.downstream.heads import build_segmenter
from training.encoders.published_weights import load_exactly, read_weights, weight_file
from training.encoders.table import encoder_table, find_entry
from training.encoders.vit_pyramid import VitShape, build_vit

TINY = VitShape(width=32, depth=4, heads=2)
DOWNLOADED = [entry for entry in encoder_table() if entry.url]
TRANSFORMERS = [entry for entry in DOWNLOADED if entry.kind != "resnet50"]


@pytest.mark.parametrize("entry", TRANSFORMERS, ids=identify)
def test_transformers_load_from_their_published_layout(entry, tmp_path):
    path, expected = tiny_vit_file(entry, tmp_path, TINY)
    encoder = build_vit(entry, TINY)
    load_exactly(encoder, read_weights(entry, path), str(path))
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    segmenter = build_segmenter("fpn", encoder, 4)
    # SatMAE would see 10,800 tokens at 480 pixels.
    size = 192 if entry.kind == "satmae_vit_large" else 480
    segmenter(torch.rand(1, len(entry.bands), size, size)).mean().backward()
    learning = [each for each in segmenter.parameters() if each.requires_grad]
    assert all(parameter.grad is not None for parameter in learning)


def test_unknown_names_are_refused(tmp_path):
    entry = find_entry("moco", "s2")
    path = published_file(entry, tmp_path, extra={"adapter.weight": torch.zeros(1)})
    with pytest.raises(PipelineError, match="0 names are missing, 1 unknown.*adapter.weight"):
        load(entry, path)


@pytest.mark.parametrize(
    "entry", [find_entry("dino", "s2"), find_entry("decur", "s1")], ids=identify
)
def test_safetensors_stand_in_for_pickles(entry, tmp_path):
    state = torch.load(published_file(entry, tmp_path), weights_only=True)
    path = tmp_path / "same.safetensors"
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    encoder, _ = load(entry, path)
    assert torch.all(encoder.layer4[2].conv3.weight == constants(entry)["layer4.2.conv3.weight"])


def test_consent_opens_noncommercial_weights(tmp_path):
    entry = find_entry("scalemae", "s2")
    path = tmp_path / "local.pth"
    path.touch()
    assert weight_file(entry, settings_for(entry, path)) == path
    refused = WeightSettings(files={"scalemae": path})
    with pytest.raises(PipelineError, match="licence CC-BY-NC-4.0"):
        weight_file(entry, refused)


@pytest.fixture
def server(tmp_path):
    """A folder over HTTP; gives the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_weights_are_downloaded_once_and_checked(server, tmp_path):
    folder, address = server
    content = b"some weights"
    (folder / "weights-epoch=199.ckpt").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    settings = WeightSettings(folder=tmp_path / "kept")
    entry = replace(
        find_entry("moco", "s2"), url=f"{address}/weights-epoch%3D199.ckpt", sha256=digest[:8]
    )
    path = weight_file(entry, settings, pause_s=0)
    assert path == tmp_path / "kept" / "weights-epoch=199.ckpt" and path.read_bytes() == content
    (folder / "weights-epoch=199.ckpt").unlink()
    assert weight_file(entry, settings, pause_s=0) == path


def test_licence_and_missing_checksum_are_told(server, tmp_path, caplog):
    caplog.set_level("INFO")
    folder, address = server
    (folder / "weights.ckpt").write_bytes(b"whatever")
    entry = replace(find_entry("cromss_mid_13", "s2"), url=f"{address}/weights.ckpt")
    for _ in range(2):
        weight_file(entry, WeightSettings(folder=tmp_path / "kept"), pause_s=0)
    assert caplog.text.count("cromss_mid_13 for s2: licence unverified") == 2
    assert caplog.text.count("no checksum") == 1


def test_another_checksum_is_refused_and_nothing_is_kept(server, tmp_path):
    folder, address = server
    (folder / "weights.pth").write_bytes(b"something else")
    settings = WeightSettings(folder=tmp_path / "kept")
    entry = replace(find_entry("moco", "s2"), url=f"{address}/weights.pth")
    with pytest.raises(
        PipelineError, match=r"not sha256:df8b932e.*local file under evaluate.weights.files.moco"
    ):
        weight_file(entry, settings, pause_s=0)
    assert not (tmp_path / "kept" / "weights.pth").exists()


def test_without_a_network_the_way_out_is_named(tmp_path):
    entry = replace(find_entry("moco", "s2"), url="http://127.0.0.1:9/weights.pth")
    with pytest.raises(PipelineError, match="could not be fetched.*name a local file") as caught:
        weight_file(entry, WeightSettings(folder=tmp_path), pause_s=0)
    assert "\n" not in str(caught.value)


def test_a_missing_local_file_is_named():
    entry = find_entry("moco", "s2")
    with pytest.raises(PipelineError, match="local file of moco, /gone/moco.pth, does not exist"):
        weight_file(entry, settings_for(entry, Path("/gone/moco.pth")))


class Bomb:
    """A pickle that would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["moco", "cromss_mid_13", "dofa"])
@pytest.mark.parametrize("place", ["top", "inside"])
def test_code_in_a_file_is_never_run(name, place, tmp_path):
    trace, path = tmp_path / "ran", tmp_path / "weights.pth"
    bomb = Bomb(trace)
    torch.save(bomb if place == "top" else {"state_dict": {"net.encoder.a": bomb}}, path)
    with pytest.raises(PipelineError, match="nothing was run") as caught:
        load(find_entry(name, "s2"), path)
    assert not trace.exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 3000])
def test_truncated_files_are_one_line(suffix, kept, tmp_path):
    entry = find_entry("moco", "s1")
    path = tmp_path / f"weights{suffix}"
    tensors = {"conv1.weight": torch.rand(64, 2, 7, 7)}
    torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(PipelineError, match="damaged") as caught:
        load(entry, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {}, {"conv1.weight": 3}, {"model": {}}, "text"])
def test_files_of_something_else_are_one_line(content, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(PipelineError, match="holds no tensors|another layout") as caught:
        load(find_entry("moco", "s2"), path)
    assert "\n" not in str(caught.value)


def test_too_few_bands_are_named_with_both_shapes(tmp_path):
    path = published_file(find_entry("moco", "s1"), tmp_path)
    with pytest.raises(
        PipelineError, match="conv1.weight is 64x2x7x7, the network takes 64x13x7x7"
    ):
        load(find_entry("moco", "s2"), path)
    path = published_file(find_entry("cromss_mid_9", "s2"), tmp_path)
    with pytest.raises(PipelineError, match="takes 9 bands of s2, 13 were asked for"):
        load(find_entry("cromss_mid_13", "s2"), path)


def test_the_layout_of_another_encoder_is_refused(tmp_path):
    path = published_file(find_entry("cromss_mid_13", "s2"), tmp_path)
    with pytest.raises(PipelineError, match="network of mid fusion, cromss_late_13 is another"):
        load(find_entry("cromss_late_13", "s2"), path)
    with pytest.raises(PipelineError, match="another layout: 318 names are missing"):
        load(find_entry("moco", "s2"), path)


def test_settings_forbid_what_they_do_not_know():
    with pytest.raises(ValidationError):
        WeightSettings.model_validate({"accept_noncomercial": True})


def test_every_layout_is_tested_with_its_leftovers():
    assert set(PUBLISHED_EXTRAS) == {entry.keys for entry in DOWNLOADED}


def test_a_file_for_an_encoder_that_does_not_exist_is_not_passed_over(tmp_path):
    settings = WeightSettings(folder=tmp_path, files={"mocco": tmp_path / "moco.pth"})
    with pytest.raises(PipelineError, match="weights.files names 'mocco', which is no encoder"):
        weight_file(find_entry("moco", "s2"), settings)
