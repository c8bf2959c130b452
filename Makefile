# Every target installs what it needs first, and again only when the pins change.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for v in python3.11 python3.12 python3.13 python3; do command -v $$v >/dev/null 2>&1 && $$v -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && echo $$v && break; done)
VENV := .venv
BIN := $(VENV)/bin
TESTS ?=
WORKERS ?= 3
PIP := $(BIN)/python -m pip --disable-pip-version-check

export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export GX_ANALYTICS_ENABLED := false
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: help
help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-13s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Winback needs Python 3.11, 3.12 or 3.13, and found none on PATH. Set PYTHON=/path/to/python3."; exit 1; }
	@echo "Creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing Winback and what it stands on (about 1 GB; one to four minutes, once)"
	@n=0; (while sleep 15 </dev/null >/dev/null 2>&1; do n=$$((n + 15)); echo "  installing, $$n seconds so far"; done) & beat=$$!; \
	trap "kill $$beat 2>/dev/null" EXIT; $(PIP) install --quiet --progress-bar off -r requirements.txt
	@$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the test tools"
	@$(PIP) install --quiet -r requirements-dev.txt
	@touch $@

.PHONY: install
install: $(VENV)/.installed ## Install into .venv

.PHONY: demo
demo: $(VENV)/.installed ## See the whole product work on a year of real purchases
	@$(BIN)/python -m local.demo

.PHONY: test
test: $(VENV)/.installed-dev ## Run the whole test suite (TESTS=... for some of it, WORKERS=... processes)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

.PHONY: test-postgres
test-postgres: $(VENV)/.installed-dev ## Run the suite on another PostgreSQL: POSTGRES_BIN=/usr/lib/postgresql/15/bin
	@test -n "$(POSTGRES_BIN)" || { echo "Say which PostgreSQL: make test-postgres POSTGRES_BIN=/usr/lib/postgresql/15/bin (the folder with initdb and pg_ctl)."; exit 2; }
	@$(BIN)/python -m local.another_postgres "$(POSTGRES_BIN)" $(MAKE) --no-print-directory test

.PHONY: lint
lint: $(VENV)/.installed-dev ## Run ruff, mypy and import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: bench
bench: $(VENV)/.installed-dev ## Measure, against a peer and against a limit
	@$(BIN)/python -m bench

.PHONY: faults
faults: $(VENV)/.installed-dev ## Break delivery on purpose, beside a control that sends twice (20 minutes; ONLY=name, SEEDS=n, QUICK=1)
	@$(BIN)/python -m tests.faults $(if $(ONLY),--only $(ONLY)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(QUICK),--quick)

.PHONY: pins
pins: ## Compile requirements.txt from requirements.in (needs uv)
	uv pip compile --universal --python-version 3.11 --quiet --custom-compile-command "make pins" requirements.in -o requirements.txt
	uv pip compile --universal --python-version 3.11 --quiet --custom-compile-command "make pins" requirements-dev.in -o requirements-dev.txt

.PHONY: docs
docs: $(VENV)/.installed ## Generate the pages of every table and column (dbt docs) under .local/dbt
	@$(BIN)/winback docs
