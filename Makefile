# "make demo" and "make test" need Python 3.11 or newer, make and git; everything else they put into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Processes for the tests; "auto" is one for each core.
WORKERS ?= auto
# Where compiled modules are not kept, every process of the tests compiles all of them anew.
unexport PYTHONDONTWRITEBYTECODE
RECORDINGS := $(wildcard tests/data/kernel-traces/*.json tests/data/kernel-traces-2/*.json)

# One stamp for each set of libraries: pyproject.toml changed means install again.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
MUTANTS := $(VENV)/.installed-mutants

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUN) ## Replay the recorded kernels, compare policies on the quickstart, write its report
	@echo "Replaying recordings of real kernels through the model"
	@$(BIN)/memhp-sim replay --brief $(RECORDINGS)
	@echo
	@$(BIN)/memhp-sim run quickstart --no-plots
	@$(BIN)/memhp-sim report results/quickstart > /dev/null
	@echo
	@echo "The report, for a browser:"
	@echo "file://$(CURDIR)/results/quickstart/report.html"

.PHONY: test
test: $(DEV) ## Style, types and all tests but the long ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

.PHONY: test-long
test-long: $(DEV) ## All tests in random order, with the long Hypothesis profile (takes much longer)
	HYPOTHESIS_PROFILE=long $(BIN)/pytest -n $(WORKERS) --dist worksteal -m "slow or not slow" -p randomly

.PHONY: coverage
coverage: $(DEV) ## What the tests run through, with a floor (takes twice as long as the tests)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term

.PHONY: lowest
lowest: $(BIN)/python ## The tests with the oldest libraries that pyproject.toml claims to work with
	$(BIN)/python -m venv .venv-lowest
	$(BIN)/python -m tests.support.lowest > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[test]' -c .venv-lowest/constraints.txt
	.venv-lowest/bin/pytest -n $(WORKERS) --dist worksteal -W ignore

.PHONY: mutants
mutants: $(MUTANTS) ## Mistakes put into the code one by one: do the tests notice? (takes hours, resumes)
	$(BIN)/python -m tests.mutation.run $(AREAS)
	$(BIN)/python -m tests.mutation.report

.PHONY: bench
bench: $(DEV) ## Speed, as ratios to bare SimPy events
	$(BIN)/pytest benchmarks -p no:xdist

.PHONY: docs
docs: $(DOCS) ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

.PHONY: pages
pages: $(DEV) ## Write the documentation's pages that follow from the code
	$(BIN)/python -m sim.results.docs_pages docs
	$(BIN)/python -m sim.plugins.docs_pages docs

.PHONY: clean
clean: ## Remove the environment, caches and everything built (results stay)
	rm -rf $(VENV) .venv-lowest build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { \
	    echo "No $(PYTHON) here. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "memhp-sim needs Python 3.11 or newer, and $(PYTHON) is `$(PYTHON) --version 2>&1`." >&2; \
	    echo "Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "$(PYTHON) cannot make environments; on Debian and Ubuntu, install python3-venv." >&2; exit 1; }

$(RUN): pyproject.toml | $(BIN)/python
	@echo "Installing what the program needs into $(VENV) (a minute)"
	@$(PIP) install --quiet --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(RUN)

$(MUTANTS): pyproject.toml | $(DEV)
	$(PIP) install --quiet --editable '.[mutants]'
	@touch $@

$(DOCS): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable '.[docs]'
	@touch $@
