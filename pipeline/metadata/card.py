"""The dataset card, ``README.md`` beside the stores: ``python -m pipeline.metadata.card``.

In the form of Hugging Face: a header of YAML that its site reads, and a text for people. Source:
https://huggingface.co/docs/hub/datasets-cards.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, run_step
from pipeline.label_classes import label_classes
from pipeline.metadata.coverage import Coverage, read_coverage
from pipeline.metadata.sources import Source, bibtex_entries, licence_notices, sources_of
from pipeline.metadata.stac import collection_licence, keywords
from pipeline.metadata.store_facts import ArrayFacts, StoreFacts, read_store_facts
from pipeline.settings.tree import Settings, load_settings

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
"""Hugging Face's classes of sizes."""

_SIMULATED = (
    "> **SIMULATED.** The pixels and labels come from the simulated Earth, a made-up planet. They "
    "show no place on Earth and are no observation. The terms below are those of the sources that "
    "a build from the real services has."
)


@dataclass(frozen=True)
class DescribedStore:
    """A store with what the card says about it.

    Attributes:
        facts: Its metadata.
        index: Its index.
        coverage: Of its valid samples.
        size: Bytes on disk.
    """

    facts: StoreFacts
    index: Path
    coverage: Coverage
    size: int


def dataset_card(
    settings: Settings, stores: Sequence[DescribedStore], remote: Sequence[dict[str, str]]
) -> str:
    """The text of the card.

    Args:
        settings: Of the dataset.
        stores: What it consists of.
        remote: Rows of ``workflow/config/sources.csv``.
    """
    sources = _all_sources(stores)
    header = yaml.safe_dump(_header(settings, stores, sources), sort_keys=False, allow_unicode=True)
    sections = [
        f"# {settings.name}",
        *([_SIMULATED] if _simulated(stores) else []),
        _summary(stores),
        "## Read it",
        _reading(stores),
        "## What is in it",
        _contents(stores),
        "## How it was made",
        _making(settings, stores, remote),
        "## Licences and credit",
        _licences(stores, sources),
        "## Known limits",
        _limits(stores),
        "## Where a sample comes from",
        _provenance(stores[0]),
        "## Cite",
        "\n".join(["```bibtex", "\n\n".join(bibtex_entries(sources)), "```"]),
    ]
    return f"---\n{header}---\n\n" + "\n\n".join(sections) + "\n"


def _simulated(stores: Sequence[DescribedStore]) -> bool:
    return any(store.facts.simulated for store in stores)


def _all_sources(stores: Sequence[DescribedStore]) -> tuple[Source, ...]:
    every = [source for store in stores for source in sources_of(store.facts.kind)]
    return tuple(dict.fromkeys(every))


def _header(
    settings: Settings, stores: Sequence[DescribedStore], sources: tuple[Source, ...]
) -> dict[str, Any]:
    count = sum(store.coverage.candidates for store in stores)
    size = next((name for limit, name in _SIZES if count < limit), "n>1M")
    licence = collection_licence(sources)
    named = {"license_name": "see-licences-and-credit", "license_link": "README.md"}
    return {
        "pretty_name": settings.name,
        "license": licence.lower(),
        **(named if licence == "other" else {}),
        "task_categories": ["image-segmentation"],
        "size_categories": [size],
        "tags": list(dict.fromkeys(word for one in stores for word in keywords(one.facts))),
        "configs": [_configuration(store) for store in stores],
        "dataset_info": [_info(store) for store in stores],
    }


def _configuration(store: DescribedStore) -> dict[str, Any]:
    files = [{"split": "samples", "path": store.index.name}]
    return {"config_name": store.facts.kind, "data_files": files}


def _info(store: DescribedStore) -> dict[str, Any]:
    schema = pq.read_schema(store.index)
    rows, size = store.coverage.candidates, store.index.stat().st_size
    return {
        "config_name": store.facts.kind,
        "features": [_feature(schema.field(name)) for name in schema.names],
        "splits": [{"name": "samples", "num_bytes": size, "num_examples": rows}],
        "download_size": size,
        "dataset_size": size,
    }


def _feature(column: pa.Field) -> dict[str, Any]:
    if pa.types.is_list(column.type):
        return {"name": column.name, "list": _type_name(column.type.value_type)}
    return {"name": column.name, "dtype": _type_name(column.type)}


def _type_name(kind: pa.DataType) -> str:
    """Hugging Face's name of a type."""
    names = {"double": "float64", "float": "float32", "date32[day]": "date32"}
    return names.get(str(kind), str(kind))


def _summary(stores: Sequence[DescribedStore]) -> str:
    rows = ["| store | what | samples | splits | size |", "|---|---|---|---|---|"]
    for store in stores:
        facts, coverage = store.facts, store.coverage
        splits = ", ".join(f"{name} {count:,}" for name, count in sorted(coverage.splits.items()))
        rows.append(
            f"| `{facts.path.name}` | {facts.title} | {coverage.valid:,} of "
            f"{coverage.candidates:,} | {splits} | {_megabytes(store.size)} |"
        )
    return "\n".join(rows)


def _reading(stores: Sequence[DescribedStore]) -> str:
    store = stores[0]
    facts = store.facts
    group = f', group="{facts.groups[0].name}"' if facts.groups[0].name else ""
    lines = [
        "```python",
        "import xarray",
        f'store = xarray.open_zarr("{facts.path.name}"{group})',
        f"sample = store.isel(sample={_first_valid(store)})",
        "```",
        "",
        *_group_hints(stores),
        "xarray scales and masks: backscatter is in dB, no data is NaN. With "
        "`mask_and_scale=False` it gives the numbers as they are stored, labels as integers.",
        "",
        "The table of samples alone, with scenes, times, places and reasons: "
        f'`geopandas.read_parquet("{store.index.name}")`. Machine-readable descriptions lie in '
        "`metadata/<store>/`: Croissant with the GeoCroissant extension, a STAC collection, and "
        "its items as stac-geoparquet.",
    ]
    return "\n".join(lines)


def _group_hints(stores: Sequence[DescribedStore]) -> list[str]:
    """How to open the stores whose samples lie in groups: the root alone looks empty."""
    hints = []
    for store in stores:
        names = [group.name for group in store.facts.groups if group.name]
        if names:
            opened = f'xarray.open_zarr("{store.facts.path.name}", group="{names[0]}")'
            hints += [
                f"The samples of `{store.facts.path.name}` lie in the groups "
                f"{', '.join(f'`{name}`' for name in names)}: `{opened}`.",
                "",
            ]
    return hints


def _first_valid(store: DescribedStore) -> int:
    valid = [("valid", "==", True), ("group", "==", store.facts.groups[0].name)]
    table = pq.read_table(store.index, columns=["sample"], filters=valid)
    if not len(table):
        raise PipelineError(
            f"{store.facts.path} holds no valid sample to show; there is nothing to publish"
        )
    return int(table["sample"][0].as_py())


def _contents(stores: Sequence[DescribedStore]) -> str:
    rows = ["| store | array | axes | stored as | no data | what |", "|---|---|---|---|---|---|"]
    classes = []
    for store in stores:
        for name, (_, array) in store.facts.pixel_arrays.items():
            axes = ", ".join(array.dimensions)
            rows.append(
                f"| `{store.facts.path.name}` | `{name}` | {axes} | {_stored_as(array)} | "
                f"{array.nodata} | {array.long_name} |"
            )
            if "flag_values" in array.attributes:
                told = ", ".join(f"{row.id} {row.name}" for row in label_classes(array.attributes))
                classes.append(f"- `{store.facts.path.name}`, `{name}`: {told}.")
    return "\n".join([*rows, "", "The classes:", "", *classes])


def _stored_as(array: ArrayFacts) -> str:
    """Type and unit: ``int16, 0.01 dB``."""
    units, scale = array.attributes.get("units"), array.attributes.get("scale_factor", 1)
    unit = f"{units}" if scale == 1 else f"{scale:g} {units}"
    return f"{array.dtype}, {unit}" if units else array.dtype


def _making(
    settings: Settings, stores: Sequence[DescribedStore], remote: Sequence[dict[str, str]]
) -> str:
    used = {store.facts.kind for store in stores} | {settings.locations.sampler}
    lines = [f"Made with NoLDO {stores[0].facts.attributes['code_version']}."]
    for store in stores:
        facts, span = store.facts, store.coverage
        when = f"{span.first:%Y-%m-%d} to {span.last:%Y-%m-%d}" if span.first else "unknown"
        lines.append(
            f"- `{facts.path.name}`: {facts.attributes['source']}; acquired {when}; dataset "
            f"{facts.attributes['dataset_hash']}; settings in the store's attribute `settings`."
        )
    lines += ["", "From:", ""]
    rows = [row for row in remote if used & set(row["used_by"].split())]
    lines += [f"- {row['what']} ({row['version']}, {row['licence']}), {row['url']}" for row in rows]
    return "\n".join(lines)


def _licences(stores: Sequence[DescribedStore], sources: tuple[Source, ...]) -> str:
    rows = ["| store | arrays | source | terms | credit |", "|---|---|---|---|---|"]
    notices: dict[str, None] = {}
    for store in stores:
        own = sources_of(store.facts.kind)
        arrays = [*store.facts.pixel_arrays, *(one.name for one in store.facts.groups[0].records)]
        for source in own:
            held = ", ".join(f"`{name}`" for name in arrays if source.covers(name))
            terms = f"[{source.licence}]({source.licence_url})"
            rows.append(
                f"| `{store.facts.path.name}` | {held} | [{source.data}]({source.url}) | {terms} | "
                f"{source.attribution} |"
            )
        found = licence_notices(own, list(store.facts.pixel_arrays))
        notices |= dict.fromkeys(f"**`{store.facts.path.name}`.** {text}" for text in found)
    checked = dict.fromkeys(f"- {source.data}: {source.checked}." for source in sources)
    parts = ["\n".join(rows), *notices, "What of this table was looked up:", "\n".join(checked)]
    return "\n\n".join(parts)


def _limits(stores: Sequence[DescribedStore]) -> str:
    lines = [
        "- Labels are noisy: Dynamic World is the output of a model, OpenStreetMap the work of "
        "volunteers, expert labels have errors of their own. 255 is *no label*, not a class.",
        "- Samples are kept only where all scenes, clouds under the limit and labels were found, "
        "so cloudy places and seasons are rarer than on Earth.",
    ]
    for store in stores:
        name, coverage = store.facts.path.name, store.coverage
        if coverage.largest_gap is not None:
            days = coverage.largest_gap.total_seconds() / 86_400
            lines.append(f"- `{name}`: Sentinel-1 and Sentinel-2 lie up to {days:.1f} days apart.")
        if coverage.reasons:
            counts = coverage.reasons.most_common()
            told = ", ".join(f"{reason or 'unrecorded'} {count}" for reason, count in counts)
            lines.append(f"- `{name}`: samples that are not valid, by reason: {told}.")
    return "\n".join(lines)


def _provenance(store: DescribedStore) -> str:
    return (
        "The index names, for every sample and date, the scenes in Earth Engine's collections, "
        "their times, tile, processing baseline and orbit, the grid, the hash of the settings and "
        f"the version of the software. `python -m pipeline.provenance {store.facts.path.name} "
        "--sample ID` prints them together with the request that gives the pixels again."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def describe_for_card(path: Path) -> DescribedStore:
    """Read what the card says about a store; its index lies beside it.

    Raises:
        PipelineError: There is no such store or index.
    """
    facts = read_store_facts(path)
    index = path.with_name(f"{facts.kind}.index.parquet")
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return DescribedStore(facts, index, read_coverage(index), size)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the card from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.metadata.card")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--sources", type=Path, required=True, help="table of remote sources (CSV)")
    parser.add_argument("--stores", type=Path, nargs="+", required=True, help="finished stores")
    parser.add_argument("--output", type=Path, required=True, help="README.md to write")
    options = parser.parse_args(arguments)
    remote = list(csv.DictReader(options.sources.read_text(encoding="utf-8").splitlines()))
    stores = [describe_for_card(path) for path in options.stores]
    card = dataset_card(load_settings(options.settings), stores, remote)
    write_atomically(options.output, card.encode())
    print(f"{options.output}: {', '.join(store.facts.path.name for store in stores)}")


if __name__ == "__main__":
    run_step(main)
