# From a list of places to Zarr stores, encoders and one table of scores.
#
#   snakemake plan                      what a build will cost, before anything is fetched
#   snakemake --cores 32 build_noldo    the dataset
#   snakemake ... --configfile my.yaml  the same for another region
#
# Every setting is explained in workflow/config/default.yaml.

from snakemake.utils import min_version

min_version("9.20")


configfile: "workflow/config/default.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/locations.smk"
include: "workflow/rules/imagery.smk"
include: "workflow/rules/store.smk"


localrules:
    list_targets,
    build_noldo,
    build_nol,


rule list_targets:
    default_target: True
    message:
        "The targets"
    shell:
        "grep -A 3 '^rule .*# target' {workflow.main_snakefile}"


rule build_noldo: # target
    message:
        "All stores are complete"
    input:
        rules.build_nol.input,
