"""A second Snakemake beside the one that is at work, and one that only looks."""

from pipeline.run_lock import hold_run_lock


def test_a_dry_run_writes_nothing(workflow):
    run = workflow.run("--dry-run", "build_nol")
    assert run.returncode == 0, run.stderr
    assert not (workflow.directory / "results").exists()


def test_other_settings_wait_until_the_run_at_work_has_ended(workflow):
    """Its jobs read the settings each as it starts."""
    workflow.build("plan")
    settings = workflow.folder / "settings.yaml"
    before = settings.read_text()
    other = ("--config", "plan__pixel_latency_s=3", "--")
    at_work = hold_run_lock(workflow.folder)
    try:
        assert workflow.run("--dry-run", *other, "build_nol").returncode == 0
        refused = workflow.run(*other, "plan")
        assert refused.returncode == 1
        assert "another Snakemake is at work on results/tiny" in refused.stdout + refused.stderr
        assert settings.read_text() == before
        workflow.build("plan")  # the same settings disturb nobody
    finally:
        at_work.release()
    workflow.build(*other, "plan")
    assert "pixel_latency_s: 3" in settings.read_text()
