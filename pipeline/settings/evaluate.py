"""Settings of the downstream evaluation: tasks, encoders, and the protocol that all share."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.settings.encoders import WeightSettings
from pipeline.settings.section import Section

PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Head = Literal["deeplabv3plus", "fpn", "pspnet", "upernet", "unet"]
Mode = Literal["frozen", "finetuned"]
Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """A repeated seed would be averaged as if it were another, although its row is made once."""
    # Shares are told apart by as many digits as stand in the name of a row.
    names = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]} stands there twice, name everything once")
    return values


EachOnce = AfterValidator(_each_once)

_PROTOCOL = (
    *("epochs", "learning_rate", "final_learning_rate", "cosine_share", "weight_decay"),
    *("flip_share", "rotation_share", "precision", "devices"),
)
"""Keys that decide every score."""

_WEIGHT_SUFFIXES = (".safetensors", ".ckpt", ".pth", ".pt")


def names_a_file(weights: str) -> bool:
    """Whether weights are named by a path rather than by a row of ``encoders.csv``."""
    return "/" in weights or weights.endswith(_WEIGHT_SUFFIXES)


class EvaluationKey(NamedTuple):
    """What tells one evaluation from another."""

    task: str
    encoder: str
    mode: Mode
    label_fraction: float
    seed: int

    @property
    def path(self) -> str:
        """Of its row, below the folder of all rows: what tells one row from another."""
        return f"{self.task}/{self.encoder}/{self.mode}_{self.label_fraction:g}_{self.seed}.parquet"


class TaskSettings(Section):
    """One segmentation task: a store of tiles, and the network that is put on each encoder."""

    store: str = Field(
        "dw.zarr",
        description="A tile store beside nol.zarr by its name, or (with a slash) a path to one",
    )
    train_group: str = Field("train", description="Group of the store to train on")
    test_group: str = Field("test", description="Group of the store that is scored")
    label: str = Field("label", description="Array of the store with the labels")
    num_classes: int = Field(
        9, ge=2, le=255, description="Classes; their ids are 0 to this minus 1"
    )
    head: Head = Field("deeplabv3plus", description="Network on top of the encoder")
    encoder_depth: int | None = Field(
        None,
        ge=3,
        le=5,
        description=(
            "Stages of the encoder that the head uses; null: 5, but 3 for PSPNet as in the paper,"
            " which leaves most of a ResNet out"
        ),
    )
    crop: int | None = Field(
        None,
        ge=32,
        description="Rows and columns of a training crop, pixels; null: whole tiles, as do smaller",
    )
    batch_size: int = Field(32, ge=2, description="Training crops in a batch of one device")
    test_batch_size: int = Field(8, ge=1, description="Tiles scored at once; changes no score")

    @model_validator(mode="after")
    def _is_scored_on_other_tiles(self) -> Self:
        _require_two_groups(self)
        return self


class EncoderSettings(Section):
    """One encoder to compare."""

    weights: str = Field(
        "random",
        description=(
            "A name of training/encoders/encoders.csv, run:<name> for a run of pretrain.runs, or"
            " the path of a file"
        ),
    )
    modality: Literal["s1", "s2"] = Field("s2", description="Sensor that the encoder sees")
    bands: int | None = Field(
        None, ge=2, le=13, description="Bands of Sentinel-2; null: those the weights were made for"
    )
    backbone: str = Field(
        "resnet50", description="Network of random weights; all others know theirs"
    )
    head: Head | None = Field(
        None, description="Head instead of the task's, such as upernet for a vision transformer"
    )
    encoder_depth: int | None = Field(
        None, ge=3, le=5, description="Stages in use instead of the task's"
    )

    @property
    def run(self) -> str | None:
        """The pretraining run that makes these weights, if one of this dataset does."""
        return self.weights.removeprefix("run:") if self.weights.startswith("run:") else None

    @property
    def file(self) -> str | None:
        """The weights where a path names them; of a run's folder, those of the modality."""
        if self.run is not None or not names_a_file(self.weights):
            return None
        if Path(self.weights).is_dir():
            return f"{self.weights.rstrip('/')}/encoders/{self.modality}.safetensors"
        return self.weights


class ProbeSettings(Section):
    """Linear probe and nearest neighbours on whole tiles, such as those of EuroSAT."""

    store: str | None = Field(
        None, description="A tile store as in `tasks`, such as eurosat.zarr; null: no probe"
    )
    train_group: str = Field("train", description="Group of the store to fit on")
    test_group: str = Field("test", description="Group of the store that is scored")
    label: str = Field(
        "scene_class",
        description=(
            "Record of the store with the class of each tile, or its array of labels, whose most"
            " frequent class then stands for the tile"
        ),
    )
    neighbours: int = Field(5, ge=1, description="Tiles that vote in the kNN classifier")
    penalty: float = Field(
        1e-3, ge=0, description="L2 penalty of the linear probe, on standardised features"
    )
    batch_size: int = Field(64, ge=1, description="Tiles embedded at once; changes no score")

    @model_validator(mode="after")
    def _is_scored_on_other_tiles(self) -> Self:
        _require_two_groups(self)
        return self


def _require_two_groups(section: TaskSettings | ProbeSettings) -> None:
    if section.train_group == section.test_group:
        raise ValueError(
            f"train_group and test_group are both {section.test_group!r}, and tiles that were "
            "trained on would be scored; name two groups of the store"
        )


def _tasks_of_the_paper() -> dict[str, TaskSettings]:
    """Section IV of the paper; crops and batches of its released scripts."""
    return {
        "dw": TaskSettings(
            store="dw.zarr", num_classes=9, head="deeplabv3plus", crop=496, batch_size=56
        ),
        "osm": TaskSettings(store="osm.zarr", num_classes=13, head="fpn", crop=480, batch_size=32),
        "dfc2020": TaskSettings(store="dfc2020.zarr", num_classes=8, head="pspnet", batch_size=32),
    }


def _own_encoders() -> dict[str, EncoderSettings]:
    return {
        "random_s1": EncoderSettings(weights="random", modality="s1"),
        "random_s2": EncoderSettings(weights="random"),
        "midF_s1": EncoderSettings(weights="run:midF", modality="s1"),
        "midF_s2": EncoderSettings(weights="run:midF"),
        "lateF_s1": EncoderSettings(weights="run:lateF", modality="s1"),
        "lateF_s2": EncoderSettings(weights="run:lateF"),
    }


class EvaluateSettings(Section):
    """Downstream evaluation: every task with every encoder, mode and seed is one row."""

    tasks: dict[PlainName, TaskSettings] = Field(
        default_factory=_tasks_of_the_paper, description="The tasks by name"
    )
    tasks_used: Annotated[tuple[PlainName, ...], EachOnce] = Field(
        ("dw", "osm"),
        description="Which of them are evaluated; add dfc2020 once importers.dfc2020 has its files",
    )
    encoders: dict[PlainName, EncoderSettings] = Field(
        default_factory=_own_encoders, description="The encoders to compare, by name"
    )
    encoders_used: Annotated[tuple[PlainName, ...], EachOnce] = Field(
        tuple(_own_encoders()), description="Which of them are evaluated, in the tables' order"
    )
    modes: Annotated[tuple[Mode, ...], EachOnce] = Field(
        ("frozen", "finetuned"),
        min_length=1,
        description="frozen: only the head is trained; finetuned: the encoder as well",
    )
    seeds: Annotated[tuple[Seed, ...], EachOnce] = Field(
        (0, 1, 2), min_length=1, description="Each seed is one repetition of everything"
    )
    kept_seeds: tuple[Seed, ...] = Field(
        (0,), description="Seeds whose trained networks are kept, for `analysis` and for predicting"
    )
    label_fractions: Annotated[tuple[Share, ...], EachOnce] = Field(
        (1.0,), min_length=1, description="Shares of the training tiles, drawn anew for each seed"
    )
    ablation: tuple[PlainName, ...] = Field(
        ("midF_s1", "midF_s2", "lateF_s1", "lateF_s2"),
        description="Encoders of the table that `ablation` makes",
    )
    epochs: int = Field(50, ge=1, description="Passes over the training tiles; the last one counts")
    learning_rate: float = Field(5e-4, gt=0, description="Of Adam, at the start")
    final_learning_rate: float = Field(
        1e-5, gt=0, description="Of Adam once the cosine has ended, as released"
    )
    cosine_share: float = Field(
        0.8, gt=0, le=1, description="Share of the epochs over which the rate falls, as released"
    )
    weight_decay: float = Field(1e-8, ge=0, description="L2 penalty inside Adam, as released")
    flip_share: float = Field(0.5, ge=0, le=1, description="Share of training crops flipped")
    rotation_share: float = Field(0.2, ge=0, le=1, description="Share of training crops rotated")
    accelerator: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="auto: a GPU where there is one"
    )
    devices: int = Field(1, ge=1, description="GPUs (or CPU processes) of one evaluation")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(
        "32-true", description="Number format inside the networks; the loss is always float32"
    )
    workers: int = Field(4, ge=0, description="Processes that read tiles, per device; 0: none")
    bootstrap_replicates: int = Field(
        1000, ge=1, description="Draws of test tiles behind each 95 % interval"
    )
    figure_tiles: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 1, 2, 3), description="Test tiles, counted from 0, that the figure of maps shows"
    )
    figure_samples: int = Field(
        64, ge=2, description="Tiles behind the accumulated PCA variance of an encoder"
    )
    weights: WeightSettings = WeightSettings()
    probe: ProbeSettings = ProbeSettings()

    def planned(self) -> list[EvaluationKey]:
        """Every evaluation, one row each."""
        return [
            EvaluationKey(task, encoder, mode, fraction, seed)
            for task in self.tasks_used
            for encoder in self.encoders_used
            for mode in self.modes
            for fraction in self.label_fractions
            for seed in self.seeds
        ]

    def defining(self, task: str, encoder: str) -> dict[str, Any]:
        """The settings that decide the rows of a task and an encoder, as plain JSON values."""
        values = self.model_dump(mode="json", include=set(_PROTOCOL))
        return values | {
            "task": self.tasks[task].model_dump(mode="json", exclude={"test_batch_size"}),
            "encoder": self.encoders[encoder].model_dump(mode="json"),
        }

    def local_file(self, encoder: str) -> str | None:
        """The user's own file that an encoder's weights are read from, if there is one."""
        chosen = self.encoders[encoder]
        named = self.weights.files.get(chosen.weights)
        return chosen.file or (None if named is None else named.as_posix())

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for key, known in (
            ("tasks_used", self.tasks),
            ("encoders_used", self.encoders),
            ("ablation", self.encoders),
        ):
            unknown = [name for name in getattr(self, key) if name not in known]
            if unknown:
                raise ValueError(f"{key} names {unknown[0]!r}, known are {', '.join(known)}")
        return self
