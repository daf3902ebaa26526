"""Write the two files that are derived from the settings model.

``python -m pipeline.settings.reference`` writes ``default.yaml`` (every key once, with default and
meaning) and ``schema.yaml`` (JSON schema, for editors and other programs) into a folder; a test
keeps the files in the repository equal to what this module makes.
"""

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.errors import run_step
from pipeline.settings.tree import Settings

_WIDTH = 100

_HEADER = """\
# yaml-language-server: $schema=schema.yaml
# Every setting once: its meaning, its unit, its default. Made from pipeline/settings/tree.py by
# `python -m pipeline.settings.reference`; change it there. A dataset of your own is a small file
# with only the keys that differ: snakemake build_noldo --configfile my_region.yaml
"""


def default_yaml() -> str:
    """All settings with their defaults as commented YAML."""
    return _HEADER + "\n" + _section_yaml(Settings(), indent="")


def schema_yaml() -> str:
    """The JSON schema of the settings, as YAML."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Settings.model_json_schema()
    return yaml.safe_dump(schema, sort_keys=False, width=_WIDTH)


def _section_yaml(section: BaseModel, indent: str) -> str:
    blocks = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            comment = _comment((type(value).__doc__ or "").splitlines()[0], indent)
            inner = _section_yaml(value, indent + "  ")
            blocks.append(f"\n{comment}{indent}{name}:\n{inner}")
        elif isinstance(value, dict) and not value:
            blocks.append(f"{_comment(_meaning(field), indent)}{indent}{name}: {{}}\n")
        elif isinstance(value, dict):
            blocks.append(_comment(_meaning(field), indent) + _named_sections(name, value, indent))
        else:
            blocks.append(f"{_comment(_meaning(field), indent)}{indent}{name}: {_scalar(value)}\n")
    return "".join(blocks)


def _named_sections(name: str, sections: dict[str, BaseModel], indent: str) -> str:
    """Sections that a person names: what each may hold as a comment, then what each sets."""
    keys = _section_yaml(type(next(iter(sections.values())))(), indent="")
    explained = "".join(f"{indent}#   {line}".rstrip() + "\n" for line in keys.splitlines())
    lines = [f"{indent}# What one may set, with its defaults:\n{explained}{indent}{name}:\n"]
    for key, section in sections.items():
        chosen = section.model_dump(mode="json", exclude_unset=True)
        flow = yaml.safe_dump(chosen, default_flow_style=True, sort_keys=False, width=10_000)
        lines.append(f"{indent}  {key}: {flow}")
    return "".join(lines)


def _meaning(field: FieldInfo) -> str:
    return field.description or ""


def _comment(text: str, indent: str) -> str:
    prefix = f"{indent}# "
    lines = textwrap.wrap(text, _WIDTH, initial_indent=prefix, subsequent_indent=prefix)
    return "".join(f"{line}\n" for line in lines)


def _scalar(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, bool | int | float) or value in (None, ""):
        return json.dumps(value)
    return str(value)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, default=Path("workflow/config"))
    folder = parser.parse_args().folder
    (folder / "default.yaml").write_text(default_yaml())
    (folder / "schema.yaml").write_text(schema_yaml())


if __name__ == "__main__":
    run_step(main)
