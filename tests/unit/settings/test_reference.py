"""The files derived from the settings are those in the repository."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline.settings.reference import default_yaml, schema_yaml
from pipeline.settings.tree import Settings, validate_settings

CONFIG = Path(__file__).parents[3] / "workflow/config"


def test_files_in_the_repository_are_up_to_date():
    assert (CONFIG / "default.yaml").read_text() == default_yaml()
    assert (CONFIG / "schema.yaml").read_text() == schema_yaml()


def test_default_yaml_says_what_the_model_says():
    assert validate_settings(yaml.safe_load(default_yaml())) == Settings()


def test_every_key_is_explained():
    lines = default_yaml().splitlines()
    for before, line in zip(lines, lines[1:], strict=False):
        named_by_a_person = line.endswith("}")
        if ":" in line and not line.lstrip().startswith("#") and not named_by_a_person:
            assert before.lstrip().startswith("#"), f"no meaning above: {line}"


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configurations_are_valid(path):
    if path.name == "schema.yaml":
        pytest.skip("the schema itself")
    values = yaml.safe_load(path.read_text())
    settings = validate_settings(values)
    jsonschema.validate(settings.model_dump(mode="json"), yaml.safe_load(schema_yaml()))


def test_schema_refuses_unknown_keys():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"gird": {}}, yaml.safe_load(schema_yaml()))
