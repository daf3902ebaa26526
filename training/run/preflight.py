"""What must hold before a run starts, checked before any GPU time is spent."""

from typing import Any

from pipeline.errors import PipelineError
from pipeline.legend import load_legend
from pipeline.sensors import bands_of, cube_bands
from pipeline.settings.pretrain import PretrainRun
from pipeline.store.create import read_attributes
from pipeline.store.object_path import StorePath
from pipeline.store.shard_reader import open_chunks
from training.cromss.fusion import Modality
from training.loading.batch import S1_STEP_DB
from training.loading.inputs import InputContract, band_names, contract_of
from training.loading.samples import NUM_CLASSES, arrays_of


def usable_attributes(store: StorePath, run: PretrainRun) -> dict[str, Any]:
    """Attributes of a store that a run can be trained on.

    Raises:
        PipelineError: There is no store, or it lacks arrays, bands, statistics, or has labels that
            are no classes.
    """
    attributes = read_attributes(store)
    if attributes is None:
        raise PipelineError(f"there is no store at {store}; run `snakemake build_nol` first")
    for name in arrays_of(store, run.modalities):
        _require_bands(store, name, attributes)
        _require_step(store, name)
    statistics = attributes.get("statistics")
    if not isinstance(statistics, dict) or "train" not in statistics.get("bands", {}):
        raise PipelineError(
            f"{store} has no statistics of its training samples; "
            "run `snakemake build_nol` to its end, which computes them"
        )
    _require_patch(store, run)
    _require_classes(store, statistics)
    return attributes


def contracts_of(run: PretrainRun, attributes: dict[str, Any]) -> dict[Modality, InputContract]:
    """Input of each modality of a run, scaled by the statistics of the training samples.

    Raises:
        PipelineError: A band has no statistics.
    """
    numbers = attributes["statistics"]["bands"]["train"]["all"]
    return {
        modality: contract_of(modality, band_names(modality, run.bands), run.scaling, numbers)
        for modality in run.modalities
    }


def require_land_cover(store: StorePath, group: str) -> None:
    """Refuse a clean store whose labels are of another legend.

    Raises:
        PipelineError: There is no such group, or its classes are others.
    """
    attributes = read_attributes(store / group / "label")
    if attributes is None:
        raise PipelineError(
            f"{store} has no labels in the group {group!r}; "
            "correct pretrain.clean_store and pretrain.clean_split"
        )
    values = attributes.get("flag_values", [])
    if list(values) != [row.id for row in load_legend("dynamic_world")]:
        raise PipelineError(
            f"the labels of {store / group} have the classes {values}, not those of the noisy "
            f"labels, 0 to {NUM_CLASSES - 1}; choose a store with Dynamic World classes"
        )


def require_truth(truth: StorePath, store: StorePath, attributes: dict[str, Any]) -> None:
    """Refuse a truth that belongs to the samples of another store.

    Raises:
        PipelineError: There is no such store, or it is of another dataset or size.
    """
    found = read_attributes(truth)
    if found is None:
        raise PipelineError(f"there is no store of true labels at {truth}; write it or set null")
    same_data = found.get("dataset_hash") == attributes["dataset_hash"]
    if not same_data or open_chunks(truth / "label").shape != open_chunks(store / "label").shape:
        raise PipelineError(
            f"the true labels in {truth} are not those of {store}; write them anew "
            "(python -m pipeline.simulator.truth_store)"
        )


def _require_bands(store: StorePath, array: str, attributes: dict[str, Any]) -> None:
    table = cube_bands("sentinel-2") if array == "s2" else bands_of(array)
    expected = [band.name for band in table]
    found = [band["name"] for band in attributes.get("bands", {}).get(array, [])]
    count = open_chunks(store / array).shape[-3]
    if count != len(expected) or found not in ([], expected):
        raise PipelineError(
            f"{store} has {count} bands in {array} ({', '.join(found) or 'unnamed'}), "
            f"expected {', '.join(expected)}; build or import it again"
        )


def _require_step(store: StorePath, array: str) -> None:
    """Pixels are scaled by what one stored step means; another one would go unnoticed."""
    expected = S1_STEP_DB if array == "s1" else 1
    found = (read_attributes(store / array) or {}).get("scale_factor", 1)
    if found != expected:
        raise PipelineError(
            f"{store} holds {array} in steps of {found}, expected {expected}; import it again"
        )


def _require_patch(store: StorePath, run: PretrainRun) -> None:
    height, width = open_chunks(store / "label").shape[-2:]
    if run.crop > min(height, width):
        raise PipelineError(
            f"crops of {run.crop} pixels do not fit patches of {height} x {width}; "
            f"set crop of the run to {min(height, width) // 32 * 32} or less"
        )


def _require_classes(store: StorePath, statistics: dict[str, Any]) -> None:
    """Every pixel counts as a class or as unlabelled, or it is something else."""
    _, *sample_shape = open_chunks(store / "label").shape
    for split, samples in statistics["samples"].items():
        pixels = samples * sample_shape[0] * sample_shape[1] * sample_shape[2]
        counted = sum(statistics["classes"][split]["all"].values())
        if counted != pixels:
            raise PipelineError(
                f"{store} has {pixels - counted} pixels in {split} whose label is neither 0 to "
                f"{NUM_CLASSES - 1} nor 255; translate the labels when importing"
            )
