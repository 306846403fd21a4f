# Two commands do all set-up themselves: `make demo` and `make test`. What they need beside this folder is python3 with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEBIAN_PACKAGES := strace

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench eval faults sim chaos schemas lock ci-deps clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

$(READY): requirements.lock pyproject.toml
	@echo "setting up $(VENV): about a minute the first time" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## the main job: three patients, a page, an acknowledgement (ARGS=--once ends by itself)
	@$(BIN)/greenchannel demo $(ARGS)

test: $(READY) ## all tests, on a Kafka and a Valkey of their own (ARGS="tests/unit -k stemi")
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## form, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(READY) ## figures beside their bounds
	@$(BIN)/python -m tests.bench $(ARGS)

eval: $(READY) ## how good the reading is: bounds, sensitivity, false reds, known truths (ARGS=--quick: two minutes)
	@$(BIN)/python -m tests.eval $(ARGS)

faults: $(READY) ## Kafka, Valkey, the blobs, notify and triage away for two minutes each, under load
	@GREENCHANNEL_OUTAGE_S=120 $(BIN)/pytest tests/e2e/test_outages.py $(ARGS)

sim: $(READY) ## schedules of the simulated whole under faults (ARGS="--minutes 10", "--seed 7")
	@$(BIN)/python -m tests.sim $(ARGS)

chaos: $(READY) ## uploads flow while every process is killed and stopped (ARGS="--uploads 2000 --kills 60"); 0 only if nothing was lost
	@$(BIN)/python -m tests.chaos $(ARGS)

schemas: $(READY) ## write the JSON Schemas anew, if the change is one that old and new readers bear
	@$(BIN)/python -m services.program.contract_documents $(ARGS)

lock: $(READY) ## pin what pyproject.toml asks for
	@$(BIN)/uv pip compile --quiet --custom-compile-command "make lock" --universal --generate-hashes --python-version 3.11 --all-extras --group dev pyproject.toml -o requirements.lock

ci-deps: ## Debian packages that some tests need, only what is missing
	@missing=""; for package in $(DEBIAN_PACKAGES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; fi

clean: ## what can be made again
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
