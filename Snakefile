# From a list of places to Zarr stores, encoders and one table of scores.
#
#   snakemake plan                      what a build will cost, before anything is fetched
#   snakemake --cores 32 build_noldo    the dataset
#   snakemake ... --configfile my.yaml  the same for another region
#
# Every setting is explained in workflow/config/default.yaml.

from snakemake.utils import min_version

min_version("9.20")


configfile: f"{workflow.basedir}/workflow/config/default.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/object_storage.smk"
include: "workflow/rules/locations.smk"
include: "workflow/rules/imagery.smk"
include: "workflow/rules/store.smk"
include: "workflow/rules/label_files.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/importers.smk"
include: "workflow/rules/metadata.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/evaluation_files.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/export_files.smk"
include: "workflow/rules/export.smk"


localrules:
    list_targets,
    plan,
    build_nol,
    build_dw,
    build_osm,
    build_noldo,
    describe,
    describe_imports,
    verify,
    export_encoders,


rule list_targets:
    default_target: True
    params:
        targets=lambda wildcards: described_targets(),
    message:
        "Targets, e.g. snakemake --cores 4 build_noldo"
    log:
        f"{FOLDER}/logs/targets.log",
    conda:
        "envs/build.yaml"
    shell:
        "printf '%s\n' {params.targets:q} | tee {log}"


rule build_noldo:
    """all stores, checked and described, with a report"""
    input:
        *rules.build_nol.input,
        *rules.build_dw.input,
        *rules.build_osm.input,
        *rules.describe.input,
        rules.report.output,
    message:
        "All stores are complete; the report is {FOLDER}/report/index.html"
