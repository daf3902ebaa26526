"""What the build asked of the services and of the machine: requests, retries, bytes, time."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.earthengine.budget import read_usage


@dataclass(frozen=True)
class Step:
    """The jobs of one step of the workflow, as Snakemake measured them.

    Attributes:
        name: Path of its benchmark files below the folder, without the job.
        jobs: Files found.
        seconds: Sum of their wall times.
        longest: Longest wall time.
        memory_mb: Largest resident memory.
    """

    name: str
    jobs: int
    seconds: float
    longest: float
    memory_mb: float


@dataclass(frozen=True)
class Effort:
    """What a build took.

    Attributes:
        requests: Requests to Earth Engine by kind, attempts counted one by one.
        retries: Attempts repeated, by fault.
        bytes_sent: To Earth Engine.
        bytes_received: From Earth Engine, over the wire.
        pictures: Pictures fetched from the land-use server.
        picture_bytes: Their size.
        stores: Bytes on disk, by store.
        steps: Measured steps, in the order of their names.
    """

    requests: Mapping[str, int]
    retries: Mapping[str, int]
    bytes_sent: int
    bytes_received: int
    pictures: int
    picture_bytes: int
    stores: Mapping[str, int]
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """Wall time of all jobs together; jobs that ran side by side count one by one."""
        return sum(step.seconds for step in self.steps)


def read_effort(folder: Path, stores: Mapping[str, Path]) -> Effort:
    """Read what a build left behind about its own making.

    Args:
        folder: ``results/<name>``.
        stores: Folder of each store.
    """
    usage = read_usage(folder / "usage")
    pictures = [file.stat().st_size for file in (folder / "osm" / "pictures").glob("*.png")]
    return Effort(
        requests=dict(sorted(usage.requests.items())),
        retries=dict(sorted(usage.retries.items())),
        bytes_sent=usage.bytes_sent,
        bytes_received=usage.bytes_received,
        pictures=len(pictures),
        picture_bytes=sum(pictures),
        stores={name: folder_bytes(path) for name, path in stores.items()},
        steps=_read_steps(folder / "benchmarks"),
    )


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _read_steps(folder: Path) -> tuple[Step, ...]:
    found: dict[str, list[tuple[float, float]]] = {}
    for file in sorted(folder.rglob("*.tsv")):
        name = _step_name(file.relative_to(folder))
        found.setdefault(name, []).extend(_read_jobs(file))
    return tuple(
        Step(
            name,
            len(jobs),
            sum(seconds for seconds, _ in jobs),
            max(seconds for seconds, _ in jobs),
            max(memory for _, memory in jobs),
        )
        for name, jobs in sorted(found.items())
        if jobs
    )


def _step_name(file: Path) -> str:
    """The step of a benchmark file: jobs are told apart by numbers and by splits."""
    parts = [part for part in file.with_suffix("").parts if not part.isdigit()]
    return "/".join(part for part in parts if part not in ("train", "test"))


def _read_jobs(file: Path) -> list[tuple[float, float]]:
    """Seconds and memory of the jobs in one file; jobs too short to be measured have ``-``."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return [(_number(row["s"]), _number(row["max_rss"])) for row in rows]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
