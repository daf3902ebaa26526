"""Settings of pretraining: the recipe of the CromSS paper, and the runs that depart from it."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from pipeline.settings.section import InputPlace, Section

RunName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=64)]
Model = Literal["mid", "late", "single_s1", "single_s2"]
Scaling = Literal["clip2std", "clip2std_uint8"]
Upsampling = Literal["nearest", "bilinear", "bicubic"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Compile = Literal["auto", True, False]


def _switch(value: object) -> object:
    """What Snakemake's command line passes on as text."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class SelectionWeightSettings(Section):
    """Which pixels of the noisy labels are trusted, and how fast (CromSS, Eq. 8 to 12)."""

    enabled: bool = Field(
        True, description="Weigh pixels by cross-modal confidence; false: every label weighs 1"
    )
    ratio: float = Field(
        0.5, ge=0, le=1, description="Share of each class with full weight once the ramp has ended"
    )
    ramp_epochs: int = Field(80, ge=0, description="Epochs until the selection has its full effect")
    ramp_kind: Literal["exponential", "linear"] = Field(
        "exponential", description="Shape of the ramp"
    )
    scope: Literal["rank", "global"] = Field(
        "rank",
        description=(
            "rank: thresholds and sums over the batch of each device, as released; global: over the"
            " joint batch of all devices"
        ),
    )
    compat: Literal["released"] | None = Field(
        None, description="released: a class too small to select from loses all its weight"
    )


class SmoothingSettings(Section):
    """How far targets are softened by the labels around and by the other seasons (Eq. 13 to 15)."""

    kind: Literal["none", "uniform", "spatial", "temporal", "spatiotemporal"] = Field(
        "spatiotemporal",
        description="Prior of the targets; none: hard labels; uniform: no prior, only the last key",
    )
    prior_weight: float = Field(0.15, ge=0, le=1, description="Share of the prior in the targets")
    uniform_weight: float = Field(
        0.05, ge=0, le=1, description="Share of the uniform distribution in the targets"
    )

    @model_validator(mode="after")
    def _label_keeps_a_share(self) -> Self:
        if self.prior_weight + self.uniform_weight > 1:
            raise ValueError("prior_weight and uniform_weight must not exceed 1 together")
        return self


class PretrainRun(Section):
    """One encoder: everything that decides its weights, apart from seed and hardware."""

    model: Model = Field(
        "mid",
        description=(
            "mid: shared decoder and head; late: two networks that meet in the loss; single_s1,"
            " single_s2: one modality alone"
        ),
    )
    encoder: str = Field("resnet50", description="Encoder of segmentation_models_pytorch")
    bands: Literal[9, 13] = Field(
        13, description="Sentinel-2 bands: all 13, or the 9 B2 to B8, B11, B12"
    )
    scaling: Scaling = Field(
        "clip2std",
        description=(
            "From mean +- 2 standard deviations to 0 ... 1; clip2std_uint8 rounds to 256 steps on"
            " the way, as the released files do"
        ),
    )
    upsampling: Upsampling = Field(
        "bicubic", description="How 20 and 60 m bands come to 10 m, on the device"
    )
    selection: SelectionWeightSettings = SelectionWeightSettings()
    smoothing: SmoothingSettings = SmoothingSettings()
    consistency: Literal["kl", "ce", "mse"] = Field(
        "kl", description="Distance between the predictions of the modalities"
    )
    consistency_weight: float = Field(1.0, ge=0, description="Factor of the consistency terms")
    epochs: int = Field(200, ge=1, description="Passes over the training samples")
    batch_size: int = Field(128, ge=1, description="Samples in a batch of one device")
    accumulate: int = Field(
        1, ge=1, description="Batches whose gradients are added before a step of the optimiser"
    )
    learning_rate: float = Field(5e-3, gt=0, description="Of Adam, at the start")
    weight_decay: float = Field(1e-8, ge=0, description="L2 penalty inside Adam, as released")
    plateau_factor: float = Field(
        0.5, gt=0, lt=1, description="The learning rate is multiplied by this on a plateau"
    )
    plateau_patience: int = Field(
        30, ge=0, description="Epochs without a better validation loss that make a plateau"
    )
    crop: int = Field(
        256, ge=32, multiple_of=32, description="Rows and columns of a training crop, pixels"
    )
    flip_share: float = Field(0.5, ge=0, le=1, description="Share of samples that are flipped")
    rotation_share: float = Field(
        0.2, ge=0, le=1, description="Share of samples that are rotated by -90 to 90 degrees"
    )

    @property
    def modalities(self) -> tuple[Literal["s1", "s2"], ...]:
        """The modalities that the run trains an encoder for."""
        if self.model == "single_s1":
            return ("s1",)
        return ("s2",) if self.model == "single_s2" else ("s1", "s2")


def _runs_of_the_paper() -> dict[str, PretrainRun]:
    """The six models of the paper's ablation, and the two with 9 bands."""
    plain = SelectionWeightSettings(enabled=False)
    return {
        "midF": PretrainRun(model="mid"),
        "lateF": PretrainRun(model="late"),
        "midF_plain": PretrainRun(model="mid", selection=plain),
        "lateF_plain": PretrainRun(model="late", selection=plain),
        "single_s1": PretrainRun(model="single_s1", selection=plain),
        "single_s2": PretrainRun(model="single_s2", selection=plain),
        "midF_9b": PretrainRun(model="mid", bands=9),
        "lateF_9b": PretrainRun(model="late", bands=9),
    }


class PretrainSettings(Section):
    """Pretraining on the noisy labels: hardware and records here, a recipe for each run below."""

    accelerator: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="auto: a GPU where there is one"
    )
    devices: int = Field(1, ge=1, description="GPUs (or CPU processes) of one run on each machine")
    nodes: int = Field(1, ge=1, description="Machines of one run")
    precision: Precision = Field(
        "32-true", description="Number format inside the networks; the loss is always float32"
    )
    compile: Annotated[Compile, BeforeValidator(_switch)] = Field(
        "auto",
        description=(
            "Compile networks and loss (torch.compile); auto: on a GPU, what a trial shows to"
            " compile and to give the same; true: both, or stop; false: neither"
        ),
    )
    deterministic: bool = Field(
        False, description="Only algorithms that give the same bits on every run; slower on GPUs"
    )
    workers: int = Field(4, ge=0, description="Processes that read samples, per device; 0: none")
    prefetch: int = Field(2, ge=1, description="Batches that each of these processes reads ahead")
    shuffle: Literal["global", "block"] = Field(
        "global",
        description=(
            "global: all samples together; block: the shards, and the samples of eight at a time,"
            " for spinning disks and object storage"
        ),
    )
    log_every: int = Field(
        20, ge=1, description="Steps between two looks at the loss, which make the device wait"
    )
    checkpoint_every: int = Field(
        20, ge=1, description="Epochs between checkpoints that are kept, beside best and last"
    )
    panels_every: int = Field(
        10, ge=1, description="Epochs between two drawings of panels and curves"
    )
    panel_samples: int = Field(4, ge=0, le=32, description="Validation samples in a picture")
    wandb_project: str | None = Field(
        None, description="Log to this project of Weights & Biases as well; null: do not"
    )
    store: InputPlace | None = Field(
        None,
        description=(
            "Train on this finished store, such as s3://bucket/nol.zarr; null: on the dataset's own"
        ),
    )
    clean_store: InputPlace | None = Field(
        None,
        description=(
            "A tile store with expert labels to score each epoch, such as results/dataset/dw.zarr"
        ),
    )
    clean_split: str = Field("test", description="Group of the clean store that is scored")
    truth_store: InputPlace | None = Field(
        None,
        description="A store with the true labels of the same samples, known for simulated Earths",
    )
    runs: dict[RunName, PretrainRun] = Field(
        default_factory=_runs_of_the_paper,
        description="The runs by name: `snakemake pretrain_<name>` trains one",
    )
