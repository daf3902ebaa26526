import dask
import pytest

from pipeline.dask_cluster import dask_cluster, map_and_merge
from pipeline.errors import PipelineError
from pipeline.settings.tree import validate_settings


def word(first, second):
    return f"{first}{second}"


def joined(parts):
    return "".join(parts)


@pytest.mark.parametrize("count", [1, 16, 17, 300])
def test_results_are_merged_in_the_order_of_the_parts(count):
    parts = [(number, ",") for number in range(count)]
    with dask_cluster(3):
        whole = map_and_merge(word, parts, joined, "count")
    assert whole == "".join(f"{number}," for number in range(count))


def test_no_parts_have_no_result():
    assert map_and_merge(word, [], joined, "nothing") is None


def test_an_error_of_one_part_reaches_the_caller():
    def refuse(number):
        raise PipelineError(f"part {number} is damaged")

    with dask_cluster(2), pytest.raises(PipelineError, match="part 1 is damaged"):
        map_and_merge(refuse, [(1,)], joined, "refuse")


def test_the_choice_of_workers_ends_with_the_block():
    before = dask.config.get("scheduler", None)
    with dask_cluster(2, "processes"):
        assert dask.config.get("scheduler") == "processes"
    assert dask.config.get("scheduler", None) == before


@pytest.mark.parametrize("address", ["localhost:8786", "http://localhost", ""])
def test_an_address_of_no_scheduler_is_refused_by_the_settings(address):
    with pytest.raises(PipelineError, match=r"dask\.scheduler"):
        validate_settings({"dask": {"scheduler": address}})
    assert validate_settings({"dask": {"scheduler": "tcp://127.0.0.1:8786"}}).dask.scheduler


@pytest.mark.parametrize("count", [0, -2])
def test_no_workers_are_refused_in_one_line(count):
    with pytest.raises(PipelineError, match="--threads takes 1 or more"), dask_cluster(count):
        pass
