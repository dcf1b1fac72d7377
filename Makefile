# Two commands do all on a fresh machine with Python 3.11+: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup run sample test lint bench clean

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(READY) ## make the environment

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

run: $(READY) ## run the main job on the sample and show what it made
	$(BIN)/clvpipe run sample --progress

sample: $(READY) ## make the bank sample and its truth anew from the seeded generator
	$(BIN)/python -m tools.bank_sample

test: $(READY) ## run the tests; the slow ones too with ALL=1, and in CI
	$(BIN)/python -m pytest -n auto --dist worksteal -m "$(if $(CI)$(ALL),,not slow)"

lint: $(READY) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## measure against lifetimes, and all extracts against the transactions alone
	$(BIN)/python -m benchmarks

clean: ## remove the environment and what the sample made
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis
