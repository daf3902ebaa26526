"""A model card is read by the Hub's own library, and every number on it is that of the run."""

import json
import re
import shutil

import pandas as pd
import pytest
from huggingface_hub import ModelCard

from pipeline.errors import PipelineError
from tests.training.finished_run import contract_of, write_run
from training.model_card import main, model_card
from training.run.trained_run import read_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "midF"
    write_run(folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "midF")


def table_of(text: str, head: str) -> list[list[str]]:
    """The cells of the Markdown table whose head begins so."""
    lines = text[text.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_hubs_library_reads_the_header(folder):
    card = ModelCard(model_card(read_run(folder), "s2", "s2.safetensors", "mit"))
    header = card.data.to_dict()
    assert header["license"] == "mit" and header["library_name"] == "timm"
    assert {"sentinel-2", "simulated"} <= set(header["tags"])
    found = {(r.metric_type, r.metric_value, r.dataset_type) for r in card.data.eval_results}
    # of the last epoch only; what could not be measured is left out
    scores = {"oa": 0.9, "aa": 0.5, "miou": 0.4}
    assert found == {(name, value, "validation") for name, value in scores.items()}
    assert ModelCard(str(card)).data.to_dict() == header


def test_licences_are_those_of_the_store_at_its_url(folder, tmp_path):
    store = tmp_path / "other.zarr"
    store.mkdir()
    (store / "zarr.json").write_text(json.dumps({"attributes": {"licences": ["one of its own"]}}))
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"store": store.as_uri()}))
    assert read_run(folder).licences == ("one of its own",)


def test_the_card_says_what_to_feed(folder):
    text = model_card(read_run(folder), "s2", "s2.safetensors", "mit")
    contract = contract_of("s2")
    rows = table_of(text, "channel")
    assert [row[1] for row in rows] == list(contract.bands)
    assert [float(row[2]) for row in rows] == list(contract.mean)
    assert "in reflectance x 10000" in text and "crops of 128 x 128" in text
    assert "`mean - 2 std ... mean + 2 std`" in text


def test_the_card_says_where_the_weights_come_from(folder):
    run = read_run(folder)
    facts = dict(table_of(model_card(run, "s1", "s1.safetensors", "mit"), "what"))
    assert facts["training data"].startswith(
        "dataset `abc` (simulated; no observation), 1,234 samp"
    )
    assert facts["recipe hash"] == f"`{run.recipe_hash}`"
    assert facts["code"] == f"noldo `{run.record['code_version']}`"
    assert facts["sample selection"] == "ratio 0.5 after 80 epochs of ramp"


def test_simulated_is_the_first_thing_said_and_only_where_it_is_so(folder, tmp_path):
    text = model_card(read_run(folder), "s2", "s2.safetensors", "mit")
    assert text.split("---\n\n")[1].startswith("# SIMULATED resnet18 for Sentinel-2")
    assert text.index("SIMULATED DATA") < text.index("## Input")
    write_run(tmp_path / "real", simulated=False)
    assert "simulated" not in model_card(read_run(tmp_path / "real"), "s2", "x", "mit").lower()


def test_licence_and_citations_of_data_and_method(folder):
    text = model_card(read_run(folder), "s2", "s2.safetensors", "cc-by-4.0")
    assert ModelCard(text).data.license == "cc-by-4.0"
    for expected in ("Dynamic World V1: CC-BY-4.0", "Brown et al. 2022", "CromSS", "Copernicus"):
        assert expected in text


def test_downstream_scores_are_means_over_seeds_of_this_run(folder, tmp_path):
    row = {"task": "dw", "mode": "frozen", "label_fraction": 0.1, "modality": "s2"}
    scores = {"oa": 0.5, "aa": 0.5, "mf1": 0.5, "head": "pspnet"}
    # The run stands there under two names, once with all stages of its encoder.
    found = [
        ("run:midF", "midF_s2", 3, 0.2),
        ("run:midF", "midF_s2", 3, 0.4),
        ("run:midF", "midF_deep", 5, 0.6),
        ("random", "random", 3, 0.9),
    ]
    columns = ("weights", "encoder", "encoder_depth", "miou")
    rows = [row | scores | dict(zip(columns, values, strict=True)) for values in found]
    pd.DataFrame(rows).to_parquet(tmp_path / "scores.parquet")
    text = model_card(read_run(folder), "s2", "x", "mit", tmp_path / "scores.parquet")
    rows = [row[1:] for row in table_of(text, "dataset") if row[0] == "dw"]
    kind = "frozen, 10% of the labels, pspnet on {} of 5 stages"
    assert [kind.format(3), "mean IoU", "30.0%"] in rows
    assert [kind.format(5), "mean IoU", "60.0%"] in rows and len(rows) == 2 * 4
    with pytest.raises(PipelineError, match="is no table of scores"):
        model_card(read_run(folder), "s2", "x", "mit", folder / "metrics.parquet")


def test_the_recipe_hash_follows_the_recipe(folder):
    before = read_run(folder).recipe_hash
    record = json.loads((folder / "run.json").read_text())
    record["code_version"] = "other"
    (folder / "run.json").write_text(json.dumps(record))
    assert read_run(folder).recipe_hash == before
    record["recipe"]["learning_rate"] = 1.0
    (folder / "run.json").write_text(json.dumps(record))
    assert read_run(folder).recipe_hash != before


def test_only_smp_knows_encoders_that_are_no_resnet(tmp_path):
    write_run(tmp_path / "tiny", encoder="tu-mobilenetv3_small_050")
    text = model_card(read_run(tmp_path / "tiny"), "s2", "x", "mit")
    assert len(re.findall("```python", text)) == 1 and "import timm" not in text
    assert ModelCard(text).data.library_name == "segmentation-models-pytorch"


def test_the_command_writes_a_card_beside_each_file(folder, capsys):
    main(["--run", str(folder)])
    for modality in ("s1", "s2"):
        card = ModelCard((folder / "encoders" / f"{modality}.md").read_text())
        assert f"encoders/{modality}.safetensors" in card.text
    assert capsys.readouterr().out.count("card ") == 2


def test_an_unfinished_or_damaged_run_is_told(folder, tmp_path):
    with pytest.raises(PipelineError, match="is no folder of a run"):
        read_run(tmp_path)
    (folder / "encoders" / "s1.safetensors").unlink()
    with pytest.raises(PipelineError, match="s1.safetensors does not exist; train it"):
        read_run(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(PipelineError, match="run.json is damaged"):
        read_run(folder)
