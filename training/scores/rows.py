"""One evaluation as one row: a file of its own, written whole when the evaluation has ended.

The file also holds the confusion counts of every test tile, from which intervals over tiles are
drawn; the gathered table holds one confusion matrix a row.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.settings.evaluate import EvaluationKey
from training.scores.metrics import ConfusionMatrix, Scores

METRICS = ("oa", "aa", "miou", "mf1")
"""Overall accuracy, average accuracy, mean IoU and mean F1, all in [0, 1]."""

CLASS_METRICS = ("iou", "f1", "precision", "recall")

_FORMAT = b"noldo-score-row-1"


@dataclass(frozen=True)
class ScoreRow:
    """The result of one evaluation.

    Attributes:
        key: Which one.
        facts: Whatever else identifies it: settings hash, code version, store hash, device,
            seconds, encoder depth and so on; plain values by column name.
        classes: Names, by id.
        tiles: int64 index in its group of each test tile.
        counts_TCC: int64 pixels by label and prediction, tile by tile.
    """

    key: EvaluationKey
    facts: dict[str, Any]
    classes: tuple[str, ...]
    tiles: NDArray[np.int64]
    counts_TCC: NDArray[np.int64]

    @property
    def confusion_CC(self) -> NDArray[np.int64]:
        """Pixels of all tiles by label and prediction."""
        total: NDArray[np.int64] = self.counts_TCC.sum(0)
        return total

    @property
    def columns(self) -> dict[str, Any]:
        """The row of the table: key, scores, facts; scores of absent classes are NaN."""
        scores = scores_of(self.confusion_CC)
        means = {metric: getattr(scores, metric) for metric in METRICS}
        by_class = {
            f"{metric}.{name}": value
            for metric in CLASS_METRICS
            for name, value in zip(self.classes, getattr(scores.per_class, metric), strict=True)
        }
        return {
            **self.key._asdict(),
            **means,
            **self.facts,
            "test_tiles": len(self.tiles),
            "classes": json.dumps(self.classes),
            "confusion": json.dumps(self.confusion_CC.tolist()),
            **by_class,
        }


def scores_of(confusion_CC: NDArray[np.int64]) -> Scores:
    """Scores of counts by label and prediction."""
    matrix = ConfusionMatrix(len(confusion_CC))
    matrix.counts = torch.from_numpy(np.ascontiguousarray(confusion_CC))
    return matrix.scores()


def write_row(path: Path, row: ScoreRow) -> None:
    """Write a row, whole or not at all."""
    table = pa.Table.from_pandas(pd.DataFrame([row.columns]), preserve_index=False)
    table = table.append_column("tiles", pa.array([row.tiles.tolist()], pa.list_(pa.int64())))
    counts = [row.counts_TCC.reshape(-1).tolist()]
    table = table.append_column("tile_confusion", pa.array(counts, pa.list_(pa.int64())))
    facts = json.dumps(row.facts).encode()
    content = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata({"format": _FORMAT, "facts": facts}),
        content,
        compression="zstd",
    )
    write_atomically(path, content.getvalue())


def read_row(path: Path) -> ScoreRow:
    """Read a row that `write_row` wrote.

    Raises:
        PipelineError: The file is no such row.
    """
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        if metadata.get(b"format") != _FORMAT:
            raise ValueError("no row of scores")
        values = table.to_pylist()[0]
        classes = tuple(json.loads(values["classes"]))
        counts = np.asarray(values["tile_confusion"], np.int64)
        return ScoreRow(
            key=EvaluationKey(*(values[name] for name in EvaluationKey._fields)),
            facts=json.loads(metadata[b"facts"]),
            classes=classes,
            tiles=np.asarray(values["tiles"], np.int64),
            counts_TCC=counts.reshape(-1, len(classes), len(classes)),
        )
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
        raise PipelineError(
            f"{path} is not a row of scores ({error}); remove it, and the evaluation runs again"
        ) from None
