# `make audit` sets up and runs the main job; `make test` sets up and runs the tests; `make ci` is what CI runs.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
CLUSTER := $(VENV)-cluster
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: help audit test coverage slow long browser cluster lint types docs bench format ci clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --upgrade pip
	$(BIN)/python -m pip install --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/.ready
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $@

audit: $(VENV)/.ready  ## train two small networks, measure them, write the report (options in ARGS="...")
	$(BIN)/pindown audit $(ARGS)

test: $(VENV)/.ready-dev  ## the tests that take minutes in all
	$(PYTEST) -n 2

coverage: $(VENV)/.ready-dev  ## the slow checks that intervals hold the truth as often as they say
	$(PYTEST) -n 2 -m slow -k cover

slow: $(VENV)/.ready-dev  ## the tests that take minutes each
	$(PYTEST) -n 2 -m slow

long: $(VENV)/.ready-dev  ## the coverage of every known case: hours
	$(PYTEST) -n 2 -m long

browser: $(VENV)/.ready-dev  ## the report in a real browser; needs chromium
	$(PYTEST) -m browser

$(CLUSTER)/.ready: pyproject.toml
	$(PYTHON) -m venv $(CLUSTER)
	$(CLUSTER)/bin/python -m pip install --disable-pip-version-check --editable '.[ray,dask]' 'pytest>=8.3' 'hypothesis>=6.112'
	@touch $@

cluster: $(CLUSTER)/.ready  ## local Ray and Dask clusters of two workers, in an environment of their own
	OMP_NUM_THREADS=1 $(CLUSTER)/bin/python -m pytest tests/unit/test_cluster.py -m "slow or not slow"

lint: $(VENV)/.ready-dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-dev  ## pyright, strict on the package
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: export NO_MKDOCS_2_WARNING := 1
docs: $(VENV)/.ready-dev  ## the guide and the reference, into site/
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.ready-dev  ## what the benchmarks need
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[bench]'

format: $(VENV)/.ready-dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ci: lint types docs test coverage browser  ## everything, as CI runs it

clean:  ## remove what the targets made
	rm -rf $(VENV) $(CLUSTER) site .pytest_cache .ruff_cache .hypothesis
