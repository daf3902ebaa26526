"""Settings of Dask: where statistics, verification and re-chunking run."""

from typing import Literal

from pydantic import Field

from pipeline.settings.section import Section


class DaskSettings(Section):
    """Where passes over whole stores run. None of this changes a byte of what they write."""

    scheduler: str | None = Field(
        None,
        pattern=r"^(tcp|tls|ws|wss)://",
        description=(
            "Address of a running Dask scheduler, e.g. tcp://10.0.0.5:8786, whose workers see the"
            " same files; null: this machine"
        ),
    )
    workers: Literal["threads", "processes"] = Field(
        "threads", description="What this machine runs them on; Snakemake's cores say how many"
    )
