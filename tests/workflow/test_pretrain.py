"""One target per run of the settings."""

from tests.workflow.conftest import executed_rules

RUNS = ("midF", "lateF", "midF_plain", "lateF_plain", "single_s1", "single_s2")


def test_every_run_of_the_paper_is_a_target_on_the_same_store(workflow):
    run = workflow.run("--dry-run", *[f"pretrain_{name}" for name in (*RUNS, "midF_9b")])
    assert run.returncode == 0, run.stderr
    jobs = executed_rules(run.stdout)
    assert all(jobs[f"pretrain_{name}"] == 1 for name in RUNS)
    assert jobs["nol_statistics"] == 1


def test_a_run_of_the_user_is_a_target_beside_them(workflow):
    workflow.configuration["pretrain"] = {"runs": {"mine": {"model": "single_s1", "epochs": 2}}}
    run = workflow.run("--dry-run", "pretrain_mine", "pretrain_midF")
    assert run.returncode == 0, run.stderr
    assert executed_rules(run.stdout)["pretrain_mine"] == 1


def test_a_run_waits_for_the_labels_that_it_is_scored_on(workflow):
    stores = {"clean_store": "results/tiny/dw.zarr", "truth_store": "results/tiny/truth.zarr"}
    workflow.configuration["pretrain"] = stores
    run = workflow.run("--dry-run", "pretrain_midF")
    assert run.returncode == 0, run.stderr
    assert {"finish_dw", "truth"} <= executed_rules(run.stdout).keys()


def test_names_that_are_no_file_names_are_refused(workflow):
    names = ("mid F", "../midF", "midF.1")
    workflow.configuration["pretrain"] = {"runs": {name: {} for name in names}}
    run = workflow.run("--dry-run", "plan")
    assert run.returncode == 1
    for name in names:
        assert f"pretrain.runs.{name}" in run.stdout + run.stderr
