"""What a user can get wrong: one clear line, exit code 1, no traceback, nothing half-written."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.faults import FaultPlan, FaultRule
from pipeline.simulator.server import SimulatedEarthEngine
from tests.workflow.conftest import TINY, Workflow, error_lines

EXPIRED = json.dumps({"error": "invalid_grant", "error_description": "Token has expired."})
UNORDERED = ["2021-03-20", "2020-12-21", "2021-06-21", "2021-09-22"]
OUT_AT_SEA = "POLYGON ((-40 30, -39 30, -39 31, -40 31, -40 30))"


def step(workflow, name, **options):
    """Run one step by hand, as its message in the log says it was run."""
    workflow.folder.mkdir(parents=True, exist_ok=True)
    (workflow.directory / "settings.yaml").write_text(yaml.safe_dump(workflow.configuration))
    command = [sys.executable, "-m", f"pipeline.{name}", "--settings", "settings.yaml"]
    command += [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return subprocess.run(
        command,
        cwd=workflow.directory,
        env=workflow.environment,
        capture_output=True,
        text=True,
    )


def assert_one_line(run, *words):
    """Exit code 1 and one line that says what is wrong, with these words."""
    assert run.returncode == 1, run.stderr
    (line,) = error_lines(run)
    assert all(word in line for word in words), line
    assert "Traceback" not in run.stdout + run.stderr


def test_all_mistakes_of_the_settings_are_told_at_once(workflow):
    workflow.configuration |= {
        "gird": {"pixels": 48},
        "locations": TINY["locations"] | {"count": "many"},
        "seasons": {"reference_dates": UNORDERED},
        "name": "../elsewhere",
    }
    run = workflow.run("build_nol")
    mistakes = "gird is not a known key", "locations.count = 'many'", "must ascend"
    assert_one_line(run, *mistakes, "name = '../elsewhere'")
    assert "in file" not in run.stderr  # nothing of Snakemake's around it
    assert not (workflow.directory / "results").exists()
    assert not (workflow.directory / "elsewhere").exists()


@pytest.mark.parametrize(
    ("options", "table", "words"),
    [
        ({"sampler": "area", "area": "POLYGON EMPTY"}, None, ["empty"]),
        ({"sampler": "area", "area": OUT_AT_SEA}, None, ["no land", "sea"]),
        ({"sampler": "points"}, "longitude,lat\n11.6,48.1\n", ["lacks the column lon"]),
        ({"sampler": "points"}, "lon,lat\n48.1,111.6\n", ["lat is outside", "swapped"]),
        (
            {"sampler": "points"},
            "location_id,lon,lat\n../../outside,11.6,48.1\n",
            ["location_id is not", "row 1", "'../../outside'"],
        ),
    ],
)
def test_places(workflow, options, table, words):
    if table:
        (workflow.directory / "places.csv").write_text(table)
        options = options | {"table": "places.csv"}
    workflow.configuration["locations"] = {"count": 1} | options
    assert_one_line(step(workflow, "locations", output="results/tiny/places.parquet"), *words)
    assert list(workflow.folder.iterdir()) == []


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A table of locations."""
    workflow = Workflow(tmp_path_factory.mktemp("places"))
    step(workflow, "locations", output="places.parquet")
    return workflow.directory / "places.parquet"


class TestService:
    """Trouble with Earth Engine, met by the selection of a shard."""

    @pytest.fixture(autouse=True)
    def a_machine_without_credentials(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)

    @pytest.fixture
    def select(self, workflow, places):
        """A function of settings and words: the selection fails and says so in one line."""

        def refused(*words, **earthengine):
            workflow.configuration |= {"earthengine": {"attempts": 1} | earthengine}
            output = workflow.folder / "selection" / "0.parquet"
            options = {"locations": places, "shard": 0, "slots": 2, "output": output}
            assert_one_line(step(workflow, "selection", **options), *words)
            assert not output.exists()

        return refused

    def test_no_project(self, select):
        select("earthengine.project is not set", service="google")

    def test_no_credentials(self, select):
        select("no valid credentials", "earthengine authenticate", service="google", project="p")

    def test_an_expired_token(self, select, tmp_path):
        with server_that_says(400, EXPIRED) as url:
            key = service_account_key(tmp_path / "key.json", url)
            select("Token has expired", service="google", project="p", credentials=str(key))

    def test_quota_exhausted(self, select):
        rules = [FaultRule("throttled", 1.0, requests=frozenset({"compute"}))]
        with SimulatedEarthEngine(ProceduralArchive(7), faults=FaultPlan(rules)) as server:
            select("(quota: 4)", "run the same command again", service=server.url)

    def test_the_budget_of_requests(self, select):
        with SimulatedEarthEngine(ProceduralArchive(7)) as server:
            budget = {"request_budget": 1, "selection_batch": 1}
            select("(budget: 3)", "request_budget = 1", service=server.url, **budget)

    @pytest.mark.parametrize("answer", ["garbage", "{}"])
    def test_a_server_that_answers_garbage(self, select, answer):
        with server_that_says(200, answer) as url:
            select("cannot open a session with Earth Engine", "answer", service=url)


def test_what_would_fail_every_job_is_not_tried_by_all_of_them(workflow):
    workflow.configuration |= {
        "locations": TINY["locations"] | {"count": 12},
        "store": {"shard_size": 1},
        "earthengine": {"service": "google"},
    }
    run = workflow.run("build_nol", cores=1)
    assert run.returncode == 1
    assert 1 <= len(error_lines(run)) <= 3  # a job or two may start before the note is read
    assert run.stderr.count("no other job is started: earthengine.project is not set") == 1


@contextmanager
def server_that_says(status, body):
    """A web server on this machine with one answer to everything; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST

        def log_message(self, *_):
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def service_account_key(path, url):
    """The key file of a made-up service account that signs in at an address of ours."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    content = {
        "type": "service_account",
        "client_email": "builder@my-project.iam.gserviceaccount.com",
        "private_key": pem,
        "token_uri": f"{url}/token",
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def small_disk(tmp_path):
    """A function of sizes in kB: a folder on a disk of its own, made larger by asking again."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def size(kilobytes):
        how = "remount," if mounted else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{how}size={kilobytes}k", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small disk takes the rights of root")
        mounted.append(kilobytes)
        return folder

    yield size
    if mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_and_the_same_command_with_more_room(
    workflow, small_disk, finished, simulated_earth
):
    workflow.configuration["earthengine"] = {"service": simulated_earth}
    workflow.configuration["results"] = str(small_disk(1400))
    run = workflow.run("build_nol")
    assert run.returncode == 1
    lines = error_lines(run)
    assert lines and all("No space left on device" in line for line in lines), lines
    assert all("run the same command again" in line for line in lines)
    assert "Traceback" not in run.stdout + run.stderr
    small_disk(100_000)
    workflow.build()
    assert workflow.digests() == finished.digests()
