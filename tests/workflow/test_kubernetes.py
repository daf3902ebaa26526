"""The Kubernetes example: objects of the right form, and arguments that Snakemake understands."""

import shlex

import pytest
import yaml

from tests.workflow.conftest import ROOT, Workflow, executed_rules

MANIFESTS = sorted((ROOT / "profiles" / "kubernetes").glob("*.yaml"))
KUBERNETES = "1.29"


def objects(manifest):
    return list(yaml.safe_load_all(manifest.read_text()))


def of_kind(manifest, kind):
    (found,) = (item for item in objects(manifest) if item["kind"] == kind)
    return found


def container(manifest):
    return of_kind(manifest, "Job")["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_objects_are_what_the_api_takes(manifest):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for item in objects(manifest):
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_what_is_mounted_is_there(manifest):
    spec = of_kind(manifest, "Job")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in container(manifest)["volumeMounts"]} == volumes.keys()
    claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
    assert of_kind(manifest, "PersistentVolumeClaim")["metadata"]["name"] == claim
    assert (
        of_kind(manifest, "ConfigMap")["metadata"]["name"]
        == volumes["settings"]["configMap"]["name"]
    )


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_settings_and_arguments_are_those_of_the_workflow(manifest, tmp_path):
    settings = of_kind(manifest, "ConfigMap")["data"]["settings.yaml"]
    workflow = Workflow(tmp_path, yaml.safe_load(settings))
    arguments = container(manifest)["args"]
    assert arguments[:3] == ["--configfile", "/settings/settings.yaml", "--cores"]
    run = workflow.run("--dry-run", arguments[-1], cores=int(arguments[3]))
    assert run.returncode == 0, run.stdout + run.stderr
    assert executed_rules(run.stdout)[arguments[-1]] == 1


def test_the_image_starts_the_workflow_that_lies_in_it():
    lines = (ROOT / "envs" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = dict(line.split(maxsplit=1) for line in lines if line and line[0].isalpha())
    assert yaml.safe_load(words["ENTRYPOINT"])[-1] == "/opt/noldo/Snakefile"
    installed = shlex.split(words["RUN"])
    assert (ROOT / installed[installed.index("--constraint") + 1]).is_file()
    assert words["WORKDIR"] == "/data"  # where the volume is mounted, and results are made
