"""Settings printed in the documentation are settings; every page can be reached."""

import pytest
import yaml
from snakemake.utils import update_config

from pipeline.settings.tree import Settings, validate_settings
from tests.docs.printed import ROOT, blocks_of

PAGES = sorted((ROOT / "docs").glob("*.md"))
EXAMPLES = ["demo.yaml", "noldo.yaml", "region_example.yaml"]


def _settings_blocks() -> list[tuple[str, str]]:
    examples = [(name, (ROOT / "workflow/config" / name).read_text()) for name in EXAMPLES]
    return examples + [
        (page.name, block.text)
        for page in [*PAGES, ROOT / "README.md"]
        for block in blocks_of(page)
        if block.language == "yaml" and _is_settings(block.text)
    ]


def _is_settings(text: str) -> bool:
    content = yaml.safe_load(text)
    return isinstance(content, dict) and bool(content.keys() & Settings.model_fields.keys())


@pytest.mark.parametrize(("page", "text"), _settings_blocks())
def test_printed_settings_are_valid_on_top_of_the_defaults(page: str, text: str) -> None:
    settings = yaml.safe_load((ROOT / "workflow/config/default.yaml").read_text())
    update_config(settings, yaml.safe_load(text))
    validate_settings(settings)


def test_every_page_stands_in_the_navigation_and_on_the_home_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    home = (ROOT / "docs" / "index.md").read_text()
    for page in PAGES:
        assert f": {page.name}\n" in navigation, page.name
        assert page.name == "index.md" or f"({page.name})" in home, page.name
