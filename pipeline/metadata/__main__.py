"""Describes a finished store for other tools: ``python -m pipeline.metadata``.

Writes ``croissant.json``, ``collection.json`` and ``items.parquet`` into a folder of their own,
``metadata/<store>/`` beside the stores, and checks them with the validators of their standards.
"""

import argparse
import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.atomic_file import write_atomically
from pipeline.errors import run_step
from pipeline.metadata.coverage import read_coverage
from pipeline.metadata.croissant import croissant_document
from pipeline.metadata.sources import sources_of
from pipeline.metadata.stac import COLLECTION_FILE, CROISSANT_FILE, ITEMS_FILE, stac_collection
from pipeline.metadata.stac_items import ItemMaker, write_items
from pipeline.metadata.store_facts import read_store_facts
from pipeline.metadata.validation import check_croissant, check_stac
from pipeline.settings.tree import load_settings

CHECKED_ITEMS = 100
"""Items that are validated; all are made by the same lines from rows of one schema."""


def describe_store(dataset: str, store: Path, index: Path, output: Path) -> str:
    """Write the metadata of a store, and check it.

    The folder has to lie two levels below the one of the store, as links are relative.

    Args:
        dataset: Name of the dataset.
        store: A finished store.
        index: Its index.
        output: Folder to write into.

    Returns:
        A line on what was written.

    Raises:
        PipelineError: There is no such store or index, or what was written is not valid.
    """
    facts = read_store_facts(store)
    sources = sources_of(facts.kind)
    coverage = read_coverage(index)
    maker = ItemMaker(dataset, facts, sources)
    collection = stac_collection(dataset, facts, sources, coverage)
    _write_json(output / COLLECTION_FILE, collection)
    count = write_items(output / ITEMS_FILE, maker, index)
    _write_json(
        output / CROISSANT_FILE, croissant_document(dataset, facts, sources, coverage, index)
    )
    items = itertools.chain.from_iterable(maker.items(index))
    checked = check_stac([collection, *itertools.islice(items, CHECKED_ITEMS)])
    for warning in check_croissant(output / CROISSANT_FILE):
        logging.getLogger(__name__).warning("%s: %s", output / CROISSANT_FILE, warning)
    return (
        f"{store.name}: {count} STAC items, {checked - 1} of them and the collection validated; "
        "Croissant validated"
    )


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Describe a store from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.metadata")
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings (YAML)")
    parser.add_argument("--store", type=Path, required=True, help="finished store")
    parser.add_argument("--index", type=Path, required=True, help="index of the store")
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    name = load_settings(options.settings).name
    print(describe_store(name, options.store, options.index, options.output))


if __name__ == "__main__":
    run_step(main)
