# Everything a newcomer types. Each target sets up what it needs: Python, git and make are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo demo-tables test lint docs screenshots bench clean-demo

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/installed ## make a virtual environment with everything, pinned

$(VENV)/installed: pyproject.toml envs/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else f"error: Python {sys.version.split()[0]} found, 3.11 to 3.13 needed; try make PYTHON=python3.12")'
	@echo "installing into $(VENV): 8 GB, most of it PyTorch, and some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/constraints.txt --editable '.[train,baselines,simulator,docs,dev]'
	touch $@

demo: setup ## build the demo dataset from the simulated Earth and look at it
	snakemake --cores $(CORES) --configfile workflow/config/demo.yaml -- build_noldo truth pretrain_midF
	python -m pipeline.inspect results/demo/nol.zarr
	@echo "curves  results/demo/runs/midF/curves.png"
	@echo "panels  results/demo/runs/midF/panels"
	@echo "report  results/demo/report/index.html (open it in a browser)"
	@echo "next    make demo-tables; docs/tutorial.md for a region of your own"

demo-tables: setup ## score the demo's encoders beside random weights: tables and figures
	snakemake --cores $(CORES) --configfile workflow/config/demo.yaml -- tables
	@echo "tables  results/demo/tables"
	@echo "figures results/demo/figures"

test: setup ## run the tests, the longest first; one thread each, because they run side by side
	OMP_NUM_THREADS=1 python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

lint: setup ## style, types, workflow
	ruff check .
	ruff format --check .
	mypy
	snakemake --lint

docs: setup ## the documentation, into site/; fails on a dead link or a page left out
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true python -m mkdocs build --quiet
	@echo "docs    site/index.html"

screenshots: setup ## the pictures of the report in the documentation; needs Chromium
	python -m tests.screenshots

bench: setup ## measure speed and memory; prints each figure beside its limit
	python -m tests.benchmarks

clean-demo: ## remove what `make demo` made
	rm -rf results/demo
