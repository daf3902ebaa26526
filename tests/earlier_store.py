"""A store as versions without checksums began it, for tests of what goes on with it."""

import json
import shutil
from pathlib import Path


def begin_earlier(store: Path) -> Path:
    """Take out of an empty store what came with checksums: codecs, files of empty records."""
    for document in store.rglob("zarr.json"):
        metadata = _earlier(json.loads(document.read_bytes()))
        document.write_text(json.dumps(metadata))
        if metadata.get("dimension_names", [""])[0] == "sample":
            shutil.rmtree(document.parent / "c", ignore_errors=True)
    return store


def _earlier(node):
    """The same metadata without checksums of chunks, at any depth."""
    if isinstance(node, list):
        return [_earlier(one) for one in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _earlier(value) for key, value in node.items()}
    if "codecs" in changed:
        changed["codecs"] = [one for one in changed["codecs"] if one["name"] != "crc32c"]
    return changed | ({"checksum": False} if "checksum" in changed else {})
