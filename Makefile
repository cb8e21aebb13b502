# Two commands matter: `make demo` and `make test`. Both set up `.venv` by themselves.
.PHONY: setup demo dev test lint types check-layers unit end-to-end coverage validate-definitions wheel lint-deploy deploy-test pythons example torture bench screenshots clean
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest --basetemp=.databrew/pytest

help:
	@echo "make demo         a live feed into a table, in the Dagster UI; Ctrl-C ends it"
	@echo "make test         every test and check"
	@echo "make dev          Dagster with your own definition files in pipelines/"
	@echo "make torture      faults that take minutes or root; what they cost: docs/reliability.md"
	@echo "make bench        what it costs, side by side with others; docs/performance.md"
	@echo "make deploy-test  the installation of deploy/ as processes on Postgres: docs/deploy.md"
	@echo "make pythons      the wheel on the other Pythons that this host has"
	@echo "make example      another Dagster project with a stream in it, from the wheel: docs/component.md"
	@echo "make setup        only the environment, in .venv"
	@echo "make screenshots  the pictures in docs/"

# The environment of this checkout, from the lock file; nothing outside it but package caches.
setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock
	@echo "setup   creating the environment in .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) 2>/dev/null \
	  || $(BIN)/python -m pip install uv==$(UV_VERSION)
	@echo "setup   installing the locked packages (uv.lock)"
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv sync --frozen --inexact --quiet
	@touch $@

demo: setup
	@exec $(BIN)/databrew-ws demo $(ARGS)

dev: setup
	@exec env -u DAGSTER_HOME $(BIN)/databrew-ws dev $(ARGS)

test: lint types check-layers unit end-to-end validate-definitions wheel lint-deploy

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

check-layers: setup
	$(BIN)/lint-imports

unit: setup
	@mkdir -p .databrew
	$(PYTEST) -n $(WORKERS) -m "not end_to_end and not browser"

# Each has a Dagster instance with its daemon, and mostly waits for it.
end-to-end: setup
	@mkdir -p .databrew
	$(PYTEST) -n $(WORKERS) -m end_to_end

# What no test reaches. Apart from `test`: measuring it takes as long again as the tests.
coverage: setup
	@mkdir -p .databrew
	$(PYTEST) -n $(WORKERS) -m "not browser" --cov --cov-report=term:skip-covered

validate-definitions: setup
	@mkdir -p .databrew/validate && cp dagster.yaml .databrew/validate/
	DAGSTER_HOME=$(CURDIR)/.databrew/validate $(BIN)/dagster definitions validate -w workspace.yaml
	cd examples/dagster_project && export PATH=$(CURDIR)/$(BIN):$$PATH PYTHONPATH=src \
	  DAGSTER_HOME=$(CURDIR)/.databrew/validate DATABREW_WS_HOME=$(CURDIR)/.databrew/validate/home \
	  && dg check yaml && dg check defs

# The wheel must work where the source folder is not; it is built from the sdist, which so holds what that needs.
wheel: setup
	rm -rf dist && $(BIN)/python -m build --quiet --installer uv
	$(BIN)/python -m databrew_ws_dagster_tests.wheel dist/*.whl

# The wheel on the other Pythons that it is for, as far as this host has them: on the path, or from pyenv.
PYTHONS ?= $(foreach version,3.12 3.13,\
  $(or $(lastword $(wildcard $(HOME)/.pyenv/versions/$(version).*/bin/python)),python$(version)))
pythons: wheel
	@for python in $(PYTHONS); do $$python -c "" 2>/dev/null || { echo "no $$python here"; continue; }; \
	  $(BIN)/python -m databrew_ws_dagster_tests.wheel dist/*.whl $$python || exit; done

# The files of deploy/, by the tools made for them, in an environment of their own; systemd's if the host has it.
DEPLOY_TOOLS := .databrew/deploy-tools
lint-deploy: setup
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/$(DEPLOY_TOOLS) UV_PYTHON_DOWNLOADS=never \
	  $(BIN)/uv sync --frozen --only-group deploy --no-install-project --quiet
	$(DEPLOY_TOOLS)/bin/hadolint deploy/Dockerfile
	$(DEPLOY_TOOLS)/bin/yamllint --strict --config-file deploy/.yamllint.yaml deploy
	$(DEPLOY_TOOLS)/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose/*.yaml
	$(DEPLOY_TOOLS)/bin/kubernetes-validate --strict deploy/kubernetes/capture.yaml deploy/kubernetes/lake.yaml

# The installation of deploy/ as separate processes on Postgres (Debian: postgresql), each killed once: docs/deploy.md.
deploy-test: setup
	$(BIN)/python -m databrew_ws_dagster_tests.deploy

# A project of somebody else's, with the wheel and a stream added by scaffold: docs/component.md.
example: setup
	rm -rf dist && $(BIN)/python -m build --quiet --wheel --installer uv
	$(BIN)/python -m databrew_ws_dagster_tests.example dist/*.whl

torture: setup
	$(BIN)/python -m databrew_ws_dagster_tests.torture $(ARGS)

# Every figure and its bar, in most of an hour; status 1 if one is missed. ARGS=ingest measures that part alone.
bench: setup
	@mkdir -p .databrew
	$(BIN)/python -m benchmarks $(ARGS)

# The UI in a browser (Debian: chromium), one scene after the other, and a picture of each.
screenshots: setup
	$(BIN)/python -m pytest -m browser --pictures=docs/images databrew_ws_dagster_tests/browser

clean:
	rm -rf .venv .databrew dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
