"""Writes the reference while the documentation is built: a page per module, commands, settings.

Run by the plugin gen-files. Everything comes from the code: docstrings, the parsers of the
commands, the settings file with every key. So nothing here can go stale.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mkdocs_gen_files

ROOT = Path(__file__).parent.parent
PACKAGES = ["pipeline", "training"]


def modules() -> Iterator[tuple[str, Path]]:
    """Every documented module of the packages, by dotted name."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] not in ("__init__", "__main__"):
                yield ".".join(parts), path


def commands() -> Iterator[tuple[str, str]]:
    """Modules that are run as commands, and the first sentence about each."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            if '__name__ == "__main__"' not in text:
                continue
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            summary = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
            yield name.removesuffix(".__main__"), " ".join(summary.split())


def write_modules() -> None:
    """A page per module, and the navigation over them."""
    navigation = mkdocs_gen_files.Nav()
    for name, path in modules():
        page = Path(*name.split(".")).with_suffix(".md")
        navigation[tuple(name.split("."))] = page.as_posix()
        with mkdocs_gen_files.open(Path("reference/modules") / page, "w") as file:
            file.write(f"# `{name}`\n\n::: {name}\n")
        mkdocs_gen_files.set_edit_path(Path("reference/modules") / page, path.relative_to(ROOT))
    with mkdocs_gen_files.open("reference/modules/SUMMARY.md", "w") as file:
        file.writelines(navigation.build_literate_nav())


def write_commands() -> None:
    """The targets of the workflow and the commands behind its rules."""
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--quiet", "--cores", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with mkdocs_gen_files.open("reference/commands.md", "w") as file:
        file.write("# Commands\n\n## Targets\n\n`snakemake` alone lists them.\n\n")
        file.write("| target | makes |\n|---|---|\n")
        for target, text in re.findall(r"^(\w+) +(\S.*)$", listed, re.MULTILINE):
            file.write(f"| `{target}` | {text} |\n")
        file.write("\n## Steps\n\nEach rule calls one of these; they work the same by hand, and ")
        file.write("`--help` lists what they take.\n\n| command | does |\n|---|---|\n")
        for name, summary in commands():
            file.write(f"| `python -m {name}` | {summary} |\n")


def write_settings() -> None:
    """Every key with its meaning and default."""
    defaults = (ROOT / "workflow/config/default.yaml").read_text()
    with mkdocs_gen_files.open("reference/settings.md", "w") as file:
        file.write("# Settings\n\nEvery key with its meaning, unit and default. A dataset of your ")
        file.write("own is a small file with only the keys that differ.\n\n")
        file.write(f"```yaml\n{defaults}```\n")


write_modules()
write_commands()
write_settings()
