# Settings, paths and shards: what all rules share.

import os
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError, fail
from pipeline.hopeless import heed_notes
from pipeline.locations.table import location_count
from pipeline.run_lock import clear_stale_locks, hold_run_lock
from pipeline.settings.tree import load_settings, validate_settings
from pipeline.store.create import refuse_other_store
from pipeline.store.layout import shard_count, shard_files


def start_no_other(reason):
    """Let the jobs that run come to their end, as after any failure without `keep-going`."""
    workflow.scheduler.keepgoing = False
    print(f"no other job is started: {reason}", file=sys.stderr)


def nested(values):
    """Command-line values such as `--config earthengine__slots=8` take their place in the tree.

    Snakemake accepts no dots in the names it is given there.
    """
    tree = {key: value for key, value in values.items() if "__" not in key}
    for key in values.keys() - tree.keys():
        *sections, last = key.split("__")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[last] = values[key]
    return tree


def with_granted_slots(settings):
    """The settings with the requests in flight that the command line grants to all jobs."""
    service, granted = settings.earthengine, workflow.global_resources
    slots = {
        "slots": granted.setdefault("ee_slots", service.slots).value,
        "selection_slots": granted.setdefault("ee_selection_slots", service.selection_slots).value,
    }
    return settings.model_copy(update={"earthengine": service.model_copy(update=slots)})


def described_targets():
    """The rules a person asks for, those with a docstring, and what each makes."""
    described = [rule for rule in workflow.rules if rule.docstring]
    return [f"{rule.name:<22} {rule.docstring}" for rule in described]


def defining(*sections):
    """The settings that decide the bytes of a rule's output: when they change, it runs again."""
    return {section: SETTINGS.defining()[section] for section in sections}


def count_covering(shard):
    """Which list of locations a shard is made from: an earlier one as long as it is in there whole.

    So a dataset that grows runs the new shards, and the last one of before if that was not full.
    """
    needed = min(COUNT, (int(shard) + 1) * SHARD_SIZE)
    return min((count for count in EARLIER_COUNTS if count >= needed), default=COUNT)


def locations_of(wildcards):
    """The list of locations of a shard."""
    return f"{FOLDER}/locations/{count_covering(wildcards.shard)}.parquet"


def layout_of(wildcards):
    """The record that the store has room for a shard."""
    return f"{FOLDER}/layout/{count_covering(wildcards.shard)}.json"


def store_folder(wildcards):
    """The Zarr store that shards are written into."""
    return STORE


def write_settings(settings, path, locked):
    """Write down the settings of this run for its jobs, which read them again.

    Keeps the file's age while its content stays the same. While another run is at work, its jobs
    read the file, too: so other settings have to wait.
    """
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    if path.exists() and path.read_text() == text:
        return
    if not locked:
        fail(
            f"another Snakemake is at work on {path.parent} with other settings; wait for its end,"
            " or give this dataset another name"
        )
    write_atomically(path, text.encode())


try:
    SETTINGS = validate_settings(nested(config))
    COUNT = location_count(SETTINGS)
    refuse_other_store(SETTINGS.folder / "nol.zarr", SETTINGS)
except PipelineError as error:
    fail(str(error))

FOLDER = SETTINGS.folder.as_posix()
SETTINGS_FILE = f"{FOLDER}/settings.yaml"
STORE = f"{FOLDER}/nol.zarr"
SHARD_SIZE = SETTINGS.store.shard_size
EARLIER_COUNTS = [int(file.stem) for file in Path(FOLDER, "locations").glob("*.parquet")]
SHARDS = range(shard_count(COUNT, SHARD_SIZE))

# Jobs find the Python that Snakemake runs in, and our packages, wherever they are started from.
for variable, folder in [("PATH", Path(sys.executable).parent), ("PYTHONPATH", workflow.basedir)]:
    rest = [os.environ[variable]] if variable in os.environ else []
    os.environ[variable] = os.pathsep.join([str(folder), *rest])

# Threads that wait for each other sleep: jobs share cores, and spinning would halve their speed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# An executor that submits jobs counts in jobs; the job itself, on another machine, in its cores.
SUBMITTED = workflow.resource_settings.nodes is not None or workflow.remote_exec
CORES_OF_A_JOB = 4 if SUBMITTED else workflow.cores

if workflow.is_main_process:
    # Requests in flight over all jobs; `--resources ee_slots=...` on the command line wins.
    SETTINGS = with_granted_slots(SETTINGS)
    DRY_RUN = workflow.output_settings.dryrun
    if SETTINGS.folder.exists() or not DRY_RUN:
        RUN_LOCK = hold_run_lock(SETTINGS.folder)
        if RUN_LOCK:
            clear_stale_locks(Path(".snakemake/locks"), SETTINGS.folder)
    if not DRY_RUN:
        write_settings(SETTINGS, Path(SETTINGS_FILE), RUN_LOCK)
        if RUN_LOCK:
            heed_notes(SETTINGS.folder / "usage", start_no_other)
else:
    # The command line of the main process, and so what it granted, is not known in a job.
    SETTINGS = load_settings(Path(SETTINGS_FILE))


wildcard_constraints:
    places=r"\d+",
    shard=r"\d+",
