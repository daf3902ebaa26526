import multiprocessing
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.earthengine.budget import PIXELS, SELECTION, Budget, Usage, read_usage
from pipeline.earthengine.errors import BudgetExhausted
from pipeline.errors import PipelineError
from pipeline.settings.services import EarthEngineSettings

SPAWN = multiprocessing.get_context("spawn")


def spend_all(folder, limits, kind=PIXELS):
    spent = 0
    with Budget(folder, limits) as budget:
        try:
            while True:
                budget.reserve(kind)
                spent += 1
        except BudgetExhausted:
            return spent


def spend_and_die(folder, limits, count):
    budget = Budget(folder, limits)
    for _ in range(count):
        budget.reserve(PIXELS)
    os._exit(9)


def test_processes_spend_the_budget_together_to_the_last_request(tmp_path):
    limits = EarthEngineSettings(request_budget=700)
    with SPAWN.Pool(3) as pool:
        spent = pool.starmap(spend_all, [(tmp_path, limits)] * 3)
    assert sum(spent) == 700
    assert read_usage(tmp_path).requests == Counter({PIXELS: 700})


def test_what_a_killed_process_held_stays_taken(tmp_path):
    limits = EarthEngineSettings(request_budget=6400)
    victim = SPAWN.Process(target=spend_and_die, args=(tmp_path, limits, 40))
    victim.start()
    victim.join()
    assert victim.exitcode == 9
    rest = spend_all(tmp_path, limits)
    assert 6400 - 64 <= rest <= 6400 - 40


def test_leaving_gives_back_what_was_not_used(tmp_path):
    limits = EarthEngineSettings(request_budget=5000)
    with Budget(tmp_path, limits) as budget:
        budget.reserve(SELECTION)
        budget.reserve(PIXELS)
    usage = read_usage(tmp_path)
    assert usage.requests == usage.reserved == Counter({SELECTION: 1, PIXELS: 1})


def test_compute_limits_pixel_requests_only(tmp_path):
    limits = EarthEngineSettings(eecu_budget_hours=0.01, eecu_seconds_per_request=3.0)
    assert spend_all(tmp_path, limits) == 12
    with Budget(tmp_path, limits) as budget:
        budget.reserve(SELECTION)
        with pytest.raises(BudgetExhausted) as stop:
            budget.reserve(PIXELS)
    assert "eecu_budget_hours = 0.01" in str(stop.value)
    assert "12 pixel requests" in str(stop.value)


def test_threads_of_a_process_share_its_blocks(tmp_path):
    limits = EarthEngineSettings(request_budget=300)
    with Budget(tmp_path, limits) as budget, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: budget.reserve(PIXELS), range(300)))
        with pytest.raises(BudgetExhausted):
            budget.reserve(PIXELS)
    assert read_usage(tmp_path).requests[PIXELS] == 300


def test_without_a_limit_the_file_is_touched_once_a_block(tmp_path):
    with Budget(tmp_path, EarthEngineSettings()) as budget:
        budget.reserve(PIXELS)
        before = (tmp_path / "requests.json").stat().st_ino
        for _ in range(31):
            budget.reserve(PIXELS)
        assert (tmp_path / "requests.json").stat().st_ino == before


def test_traffic_and_retries_add_up_over_runs(tmp_path):
    for _ in range(2):
        with Budget(tmp_path, EarthEngineSettings()) as budget:
            budget.add(Usage(retries=Counter(Quota=2), bytes_sent=10, bytes_received=100))
    usage = read_usage(tmp_path)
    assert (usage.retries["Quota"], usage.bytes_sent, usage.bytes_received) == (4, 20, 200)


def test_nothing_asked_yet_is_no_usage(tmp_path):
    assert read_usage(tmp_path) == Usage()


@pytest.mark.parametrize("content", ["", "[]", '{"requests": 3}', '{"requests": {"pixels": "x"}}'])
def test_a_damaged_counter_is_one_clear_line(tmp_path, content):
    (tmp_path / "requests.json").write_text(content)
    with pytest.raises(PipelineError, match=r"requests\.json is damaged"):
        read_usage(tmp_path)
