"""``python -m pipeline.simulator``: one line when it is ready, and no process left behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import psutil
import pytest

from tests.processes import alive, within

READY_S = 60
ENDED_S = 60


@contextmanager
def command(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.simulator", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def url_of(process):
    return json.loads(process.stdout.readline())["url"]


def status_of(url, path="/$discovery/rest"):
    try:
        with urllib.request.urlopen(url + path, timeout=READY_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(number):
    with command("--seed", 3) as process:
        url = url_of(process)
        assert url.startswith("http://127.0.0.1:")
        assert status_of(url) == 200
        process.send_signal(number)
        assert process.wait(ENDED_S) == 0
        assert process.stdout.read() == ""


def test_it_ends_with_the_process_that_started_it():
    with command("--exit-with-parent") as process:
        url_of(process)
        process.stdin.close()
        assert process.wait(ENDED_S) == 0
        process.stdin = None


def test_without_being_told_so_the_end_of_input_does_not_matter():
    with command() as process:
        url = url_of(process)
        process.stdin.close()
        process.stdin = None
        time.sleep(0.3)
        assert status_of(url) == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_share_the_port_and_leave_with_it(number):
    with command("--workers", 3) as process:
        url = url_of(process)
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 2
        assert {status_of(url) for _ in range(20)} == {200}
        os.kill(process.pid, number)
        process.wait(ENDED_S)
        assert within(ENDED_S, lambda: not any(alive(worker.pid) for worker in workers))


def test_a_fault_plan_from_a_file(tmp_path):
    plan = {"faults": [{"kind": "error_503", "positions": [1], "requests": ["algorithms"]}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with command("--faults", tmp_path / "plan.json") as process:
        url = url_of(process)
        path = "/v1/projects/p/algorithms"
        assert [status_of(url, path) for _ in range(3)] == [200, 503, 200]


def test_two_servers_never_share_a_port_by_accident():
    with command() as first:
        port = url_of(first).rpartition(":")[2]
        with command("--port", port) as second:
            _, errors = second.communicate(timeout=READY_S)
        assert second.returncode == 1
        assert "use --port 0 for a free one" in errors


def test_bad_input_is_refused_in_one_line(tmp_path):
    (tmp_path / "plan.json").write_text('{"faults": [{"kind": "meteor"}]}')
    for arguments, message in (
        (["--faults", tmp_path / "plan.json"], "unknown kind 'meteor'"),
        (["--faults", tmp_path / "none.json"], "No such file"),
        (["--scenes", tmp_path], "has no manifest"),
    ):
        with command(*arguments) as process:
            _, errors = process.communicate(timeout=READY_S)
        assert process.returncode == 1
        assert errors.count("\n") == 1
        assert message in errors
