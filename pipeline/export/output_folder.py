"""The folder of an export: what it is an export of, so that two never mix."""

import json
from pathlib import Path
from typing import Any

from pipeline.atomic_file import remove_partial_files, write_atomically
from pipeline.errors import PipelineError
from pipeline.export.store_group import StoreGroup

RECORD = "export.json"


def claim_folder(folder: Path, group: StoreGroup, form: dict[str, Any]) -> None:
    """Begin an export, or go on with the same one.

    What a killed export left half written is removed.

    Args:
        folder: Of the export.
        group: Any group of the store.
        form: Whatever decides the bytes of the files besides the store.

    Raises:
        PipelineError: The folder holds an export of another store or of another form.
    """
    record = {
        "store": group.store.name,
        "title": group.attributes.get("title", ""),
        "dataset_hash": group.attributes.get("dataset_hash", ""),
        "simulated": group.simulated,
    } | form
    path = folder / RECORD
    if path.exists():
        existing = json.loads(path.read_bytes())
        differing = [key for key in record if existing.get(key) != record[key]]
        if differing:
            key = differing[0]
            raise PipelineError(
                f"{folder} holds another export ({key} {existing.get(key)!r}, not "
                f"{record[key]!r}); choose another --output or remove the folder"
            )
        remove_partial_files(folder)
    write_atomically(path, json.dumps(record, indent=2).encode() + b"\n")
