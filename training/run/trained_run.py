"""A finished run as its folder tells it: recipe, encoders, scores. What is published of it."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.store.create import read_attributes
from pipeline.store.description import common_attributes
from pipeline.store.layout import NATIVE_LAYOUT
from pipeline.store.object_path import store_path
from training.cromss.fusion import Modality
from training.encoders.export import ExportedEncoder, read_description
from training.run.metric_table import ALL, read_metrics
from training.scores.rows import METRICS

_HASH_LENGTH = 16

_EVALUATION = ("task", "encoder", "head", "encoder_depth", "mode", "label_fraction")
"""Columns in which the seeds of an evaluation are alike."""


class PublishedScore(NamedTuple):
    """One number of a model card.

    Attributes:
        dataset: What it was measured on.
        kind: How, e.g. "against noisy labels" or "finetuned".
        metric: "oa", "aa", "miou" or "mf1".
        value: 0 to 1.
    """

    dataset: str
    kind: str
    metric: str
    value: float


@dataclass(frozen=True)
class TrainedRun:
    """What a run left behind.

    Attributes:
        folder: Of the run.
        name: Of the run.
        record: ``run.json``.
        encoders: What is said of each exported encoder.
        licences: Of the data it was trained on.
        citations: Likewise.
    """

    folder: Path
    name: str
    record: dict[str, Any]
    encoders: dict[Modality, ExportedEncoder]
    licences: tuple[str, ...]
    citations: tuple[str, ...]

    @property
    def recipe_hash(self) -> str:
        """Of the settings that decide the result: recipe, seed, dataset."""
        deciding = [self.record[key] for key in ("recipe", "seed", "store_hash")]
        text = json.dumps(deciding, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]

    def weights(self, modality: Modality) -> Path:
        """The exported file of a modality."""
        return self.folder / "encoders" / f"{modality}.safetensors"

    def scores(self, modality: Modality, table: Path | None = None) -> list[PublishedScore]:
        """The scores of a modality: of its last epoch, and downstream ones if there is a table.

        Args:
            modality: "s1" or "s2".
            table: ``scores.parquet`` of an evaluation.
        """
        found = [*self._last_epoch(modality), *_downstream(table, self.name, modality)]
        return [score for score in found if math.isfinite(score.value)]

    def _last_epoch(self, modality: Modality) -> list[PublishedScore]:
        path = self.folder / "metrics.parquet"
        if not path.is_file():
            return []
        rows = read_metrics(path)
        last = max((row.epoch for row in rows), default=0)
        kinds = {
            "validation": "network of the pretraining, against noisy labels",
            "truth": "network of the pretraining, against true labels",
            "clean": "network of the pretraining, against expert labels",
        }
        return [
            PublishedScore(row.split, kinds[row.split], row.metric, row.value)
            for row in rows
            if row.epoch == last
            and row.split in kinds
            and row.metric in METRICS
            and (row.modality, row.land_cover) == (modality, ALL)
        ]


def read_run(folder: Path) -> TrainedRun:
    """Read the folder of a finished run.

    Raises:
        PipelineError: The run is not there, is not finished, or its files are damaged; or the
            object storage that holds its store does not answer.
    """
    try:
        record = json.loads((folder / "run.json").read_bytes())
    except FileNotFoundError:
        raise PipelineError(
            f"{folder} is no folder of a run (no run.json); train it first"
        ) from None
    except ValueError as error:
        raise PipelineError(
            f"{folder}/run.json is damaged ({error}); train the run again"
        ) from None
    encoders: dict[Modality, ExportedEncoder] = {
        modality: read_description(folder / "encoders" / f"{modality}.safetensors")
        for modality in record["contracts"]
    }
    # The store may have stayed on another machine; its licences are known by its kind.
    store = store_path(str(record["store"]))
    attributes = read_attributes(store) or common_attributes("nol", NATIVE_LAYOUT)
    return TrainedRun(
        folder=folder,
        name=str(record["run"]),
        record=record,
        encoders=encoders,
        licences=tuple(attributes.get("licences", ())),
        citations=tuple(attributes.get("citation", ())),
    )


def _downstream(table: Path | None, run: str, modality: Modality) -> list[PublishedScore]:
    """Mean over the seeds of what an evaluation found for the encoder of a run.

    A run may stand in ``evaluate.encoders`` under several names, with another head for instance.
    """
    if table is None:
        return []
    try:
        frame = pd.read_parquet(table)
        own = frame[(frame["weights"] == f"run:{run}") & (frame["modality"] == modality)]
        grouped = own.groupby(list(_EVALUATION), as_index=False, sort=False)
        means = grouped[list(METRICS)].mean()
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(
            f"{table} is no table of scores ({type(error).__name__}); "
            "give scores.parquet of `snakemake evaluate`"
        ) from None
    return [
        PublishedScore(
            dataset=str(row["task"]),
            kind=(
                f"{row['mode']}, {row['label_fraction']:.0%} of the labels, {row['head']} on "
                f"{row['encoder_depth']} of 5 stages"
            ),
            metric=metric,
            value=float(row[metric]),
        )
        for row in means.to_dict("records")
        for metric in METRICS
    ]
