"""Settings of the way to the pixels: Earth Engine, its simulation, and what to expect of them."""

from pathlib import Path

from pydantic import Field

from pipeline.settings.section import Section


class EarthEngineSettings(Section):
    """Access to Earth Engine, real or simulated. None of this changes a pixel."""

    service: str = Field(
        "simulated",
        pattern=r"^(google|simulated|https?://.+)$",
        description=(
            "google: the real service; simulated: the simulated Earth on this machine; or"
            " the URL of a running simulator on loopback"
        ),
    )
    project: str | None = Field(
        None, description="Google Cloud project that requests are billed to; needed for google"
    )
    credentials: Path | None = Field(
        None,
        description=(
            "Key file of a service account; null: the user's own or application-default credentials"
        ),
    )
    slots: int = Field(
        40,
        ge=1,
        le=400,
        description="Pixel requests in flight on the high-volume endpoint, all jobs together",
    )
    selection_slots: int = Field(
        8,
        ge=1,
        le=40,
        description="Selection requests in flight on the standard endpoint, all jobs together",
    )
    selection_batch: int = Field(
        25,
        ge=1,
        le=250,
        description="Locations in one selection request; halved on time-outs and memory errors",
    )
    request_timeout_s: float = Field(
        330.0,
        gt=0,
        description=(
            "Longest time one request may take, seconds; the service gives up by itself after 300"
            " and says so"
        ),
    )
    attempts: int = Field(
        8, ge=1, le=50, description="Attempts at one request before it counts as failed"
    )
    patience_s: float = Field(
        900.0, gt=0, description="Longest time spent on the attempts at one request, seconds"
    )
    request_budget: int | None = Field(
        None, ge=1, description="Stop cleanly after this many requests; null: no limit"
    )
    eecu_budget_hours: float | None = Field(
        None,
        gt=0,
        description="Stop cleanly after this much estimated compute, EECU-hours; null: no limit",
    )
    eecu_seconds_per_request: float = Field(
        1.0,
        gt=0,
        description=(
            "Compute that one pixel request costs, EECU-seconds; measure it on your first"
            " hundred locations (Cloud Monitoring, workload tag noldo-pixels)"
        ),
    )


class SimulatorSettings(Section):
    """The simulated Earth behind `earthengine.service: simulated`."""

    seed: int = Field(7, ge=0, description="Another seed is another planet")
    scenes: Path | None = Field(
        None, description="Folder of real GeoTIFF scenes to mount into the archive"
    )
    faults: Path | None = Field(
        None, description="Plan of injected faults (JSON), for tests and rehearsals"
    )
    latency_s: float = Field(0.0, ge=0, description="Least time every answer takes, seconds")


class PlanSettings(Section):
    """What `plan` assumes about the service; better after the first hundred locations."""

    kept_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description=(
            "Share of the candidates that will be kept; null: counted in what has been selected"
            " so far, else 0.41 for the rule paper and 0.86 for dw_first"
        ),
    )
    pixel_latency_s: float = Field(
        2.0,
        gt=0,
        description=(
            "Time one pixel request takes, seconds; of the simulated Earth simulator.latency_s"
        ),
    )
    selection_latency_s: float = Field(
        5.0, gt=0, description="Time one selection request takes, seconds; likewise"
    )
