"""``snakemake -n`` at the planning size: at most 30 seconds and 2 GB, whatever is there already.

Planned are ``build_nol`` and ``build_noldo`` for 250,000 locations that nobody has begun, and
``build_noldo`` once the expert tiles are listed. Then 250,000 locations that are finished: nothing
may be left to do, and of 1,000 more only the new shards and the one that was not full. The finished
dataset is a real one of a single shard whose files and records in Snakemake's book are multiplied.
"""

import base64
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.store.layout import shard_count
from tests.benchmarks.measured_run import measured
from tests.workflow.conftest import Workflow, executed_rules

LOCATIONS = 250_000
MORE = 1_000
SHARD_SIZE = 64
LIMIT_S = 30.0
LIMIT_GB = 2.0

_SHARD_RULES = {"select_scenes", "fetch_pixels"}
_SEED_CONFIGURATION = {
    "name": "large",
    "grid": {"pixels": 6},
    "locations": {"count": SHARD_SIZE},
    "store": {"shard_size": SHARD_SIZE},
    "dynamic_world": {"train_pixels": 32, "test_pixels": 32},
}


def main() -> None:
    """Plan what is new, what is finished and what has grown."""
    with tempfile.TemporaryDirectory() as directory:
        unbegun = _workflow(Path(directory) / "unbegun", LOCATIONS)
        held = [
            _plan(unbegun, "build_nol", "build_nol, nothing there"),
            _plan(unbegun, "build_noldo", "build_noldo, nothing there"),
        ]
        unbegun.build("list_expert_tiles")
        held.append(_plan(unbegun, "build_noldo", "build_noldo, tiles listed"))
    with tempfile.TemporaryDirectory() as directory:
        finished = _workflow(Path(directory), SHARD_SIZE)
        finished.build()
        _multiply(finished, LOCATIONS)
        finished.configuration["locations"] = {"count": LOCATIONS}
        held.append(_plan(finished, "build_nol", "build_nol, finished", new_shards=0))
        finished.configuration["locations"] = {"count": LOCATIONS + MORE}
        new = shard_count(LOCATIONS + MORE, SHARD_SIZE) - LOCATIONS // SHARD_SIZE
        held.append(_plan(finished, "build_nol", f"build_nol, {MORE:,} more", new_shards=new))
    sys.exit(not all(held))


def _workflow(directory: Path, count: int) -> Workflow:
    directory.mkdir(parents=True, exist_ok=True)
    return Workflow(directory, {**_SEED_CONFIGURATION, "locations": {"count": count}})


def _plan(workflow: Workflow, target: str, what: str, new_shards: int | None = None) -> bool:
    """Time a dry run, read its peak memory; whether all is within the limits."""
    command = workflow.command("--dry-run", "--", target, cores=4)
    run = measured(command, workflow.directory)
    jobs = executed_rules(run.text)
    print(
        f"{what:<28} {sum(jobs.values()):>6,} jobs, {run.seconds:5.1f} s (limit {LIMIT_S:.0f} s;"
        f" {run.cpu_s:.1f} s of CPU), {run.peak_mb / 1e3:.2f} GB (limit {LIMIT_GB} GB)",
        flush=True,
    )
    shards_right = new_shards is None or _only_new_shards(jobs, new_shards)
    return shards_right and run.seconds <= LIMIT_S and run.peak_mb <= 1e3 * LIMIT_GB


def _only_new_shards(jobs: Mapping[str, int], new: int) -> bool:
    planned = {rule: jobs.get(rule, 0) for rule in sorted(_SHARD_RULES)}
    print(f"{'':<28} {planned}, expected {new} of each")
    return set(planned.values()) == {new} and (new > 0 or not jobs)


def _multiply(workflow: Workflow, count: int) -> None:
    """Make a finished dataset of one shard look like one of many, to Snakemake.

    Files keep the order of their ages; every record of the book says of its shard what the one of
    the first shard says of that. The files of the other shards are empty: nobody opens them.
    """
    metadata = workflow.directory / ".snakemake" / "metadata"
    records = {_name_of(file): file.read_text() for file in metadata.iterdir()}
    shards = range(shard_count(count, SHARD_SIZE))
    inputs: list[str] = []
    for name, text in records.items():
        if json.loads(text)["rule"] not in _SHARD_RULES | {"locations", "create_store"}:
            continue
        grown = _with_count(text, count)
        numbers = shards if json.loads(text)["rule"] in _SHARD_RULES else range(1)
        for shard in numbers:
            target = _of_shard(_with_count(name, count), shard)
            _stand_in(workflow.directory / target, workflow.directory / name)
            (metadata / _file_of(target)).write_text(_of_shard(grown, shard))
            inputs.append(target)
    for name in _names_by_rule(records, "finish_nol"):
        read = sorted(path for path in inputs if not re.search("/selection/|/nol.zarr/", path))
        record = json.loads(records[name]) | {"input": read}
        (metadata / _file_of(name)).write_text(json.dumps(record))
    for folder in ("locations", "layout"):  # else the first shard would be made from the short list
        for file in (workflow.folder / folder).glob(f"{SHARD_SIZE}.*"):
            file.unlink()


def _names_by_rule(records: Mapping[str, str], rule: str) -> Iterator[str]:
    return (name for name, text in records.items() if json.loads(text)["rule"] == rule)


def _stand_in(path: Path, original: Path) -> None:
    """An empty file as old as another one; what is there stays."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    age = original.stat()
    os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))


def _with_count(text: str, count: int) -> str:
    return re.sub(rf"/(locations|layout)/{SHARD_SIZE}\.", rf"/\1/{count}.", text)


def _of_shard(text: str, shard: int) -> str:
    """Paths of the first shard become those of another one."""
    text = re.sub(r"/(selection|shards)/(\.?)0\.", rf"/\1/\g<2>{shard}.", text)
    return re.sub(r"/c/0/0", f"/c/{shard}/0", text)


def _name_of(record: Path) -> str:
    return base64.urlsafe_b64decode(record.name).decode()


def _file_of(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


if __name__ == "__main__":
    main()
