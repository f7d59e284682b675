# The commands of the project. `make` lists them. Every one makes what it needs first: the environment in .venv, and as
# root the Debian packages.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PY := .venv/bin/python
CONFIG ?= config/forwards.toml
IMAGE ?= gateway
PYTEST_ARGS ?=
MATRIX_OUTPUT ?= build/matrix

DEBIAN_PACKAGES := scripts/debian-packages

# Three environments in one place: what runs the gateway, what tests it, what measures it. A stamp is as old as the
# files that say what belongs in, so that an environment is made again only when they change.
RUN_STAMP := .venv/.installed
DEV_STAMP := .venv/.installed-dev
BENCH_STAMP := .venv/.installed-bench
PINS := pyproject.toml constraints.txt

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# ---------------------------------------------------------------- the environment

.PHONY: venv
venv: $(DEV_STAMP) ## the environment for developing, in .venv

$(PY):
	@command -v $(PYTHON) >/dev/null && $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(DEBIAN_PACKAGES) --must python3 python3-venv
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, not " + sys.version) if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv .venv

# PIP_CONSTRAINT and not --constraint: it pins the build backend too.
INSTALL = PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install --quiet --editable

$(RUN_STAMP): $(PINS) | $(PY)
	@echo "Installing the gateway into .venv"
	@$(INSTALL) .
	@touch $@

$(DEV_STAMP): $(PINS) | $(PY)
	@echo "Installing the gateway and its development tools into .venv"
	@$(INSTALL) '.[dev]'
	@touch $(RUN_STAMP) $@

$(BENCH_STAMP): $(PINS) | $(PY)
	@echo "Installing the gateway and what the benchmarks need into .venv"
	@$(INSTALL) '.[dev,bench]'
	@touch $(RUN_STAMP) $(DEV_STAMP) $@

# ---------------------------------------------------------------- to use it

.PHONY: run
run: $(RUN_STAMP) ## start the gateway with CONFIG=config/forwards.toml; no privilege and no VPN needed
	@exec .venv/bin/gateway --config $(CONFIG)

.PHONY: demo
demo: $(DEV_STAMP) debian-packages ## two VPN sites, a failed tunnel, and what was seen (root)
	@$(PY) -m tests.lab.demo

# ---------------------------------------------------------------- to trust it

.PHONY: debian-packages
debian-packages:
	@$(DEBIAN_PACKAGES) ./tests/requirements-debian.txt
	@[ "$$(id -u)" -eq 0 ] || echo "Not root: the tests that need network namespaces will be skipped." >&2

.PHONY: test
test: $(DEV_STAMP) debian-packages ## all tests but those that take minutes; PYTEST_ARGS go to pytest
	@scripts/run-tests $(PYTEST_ARGS)

.PHONY: matrix
matrix: $(DEV_STAMP) debian-packages image-packages ## the tests that take minutes: soaks, the fault matrix, the image (root)
	@GATEWAY_MATRIX_OUTPUT=$(MATRIX_OUTPUT) $(PY) -m pytest -m matrix $(PYTEST_ARGS)
	@$(PY) -m tests.e2e.matrix report $(MATRIX_OUTPUT)

.PHONY: lint
lint: $(DEV_STAMP) ## ruff, mypy, the layers of the imports, the Dockerfile
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/hadolint Dockerfile

.PHONY: check
check: lint test ## all that CI checks

.PHONY: coverage
coverage: $(DEV_STAMP) debian-packages ## the same tests, one after the other, and what they cover
	@$(PY) -m pytest -m "not matrix" --cov $(PYTEST_ARGS)

.PHONY: format
format: $(DEV_STAMP) ## let ruff format, and fix what it can
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

# The peers, the compiler of the load program, and the tools that lay the network.
BENCH_PACKAGES := haproxy nginx libnginx-mod-stream socat gcc libc6-dev iproute2 nftables procps util-linux

.PHONY: bench
bench: $(BENCH_STAMP) ## measure beside HAProxy, nginx, Envoy and socat; results in bench/results (root)
	@$(DEBIAN_PACKAGES) $(BENCH_PACKAGES)
	@$(PY) -m bench

.PHONY: bench-vpn
bench-vpn: $(DEV_STAMP) debian-packages ## measure the gateway beside each VPN client that it runs; results in bench/results (root)
	@$(DEBIAN_PACKAGES) gcc libc6-dev
	@$(PY) -m bench.vpn

# ---------------------------------------------------------------- to ship it

.PHONY: image
image: ## build the container image IMAGE=gateway
	@docker info >/dev/null 2>&1 || $(DEBIAN_PACKAGES) --must ./tests/image/requirements-debian.txt
	@scripts/build-image $(IMAGE)

.PHONY: test-image
test-image: $(DEV_STAMP) debian-packages image-packages ## build the image for real and read a page through its container (root)
	@$(PY) -m pytest -m matrix tests/image $(PYTEST_ARGS)

# `make image` takes the Docker engine that is there; the tests always run buildah's image.
.PHONY: image-packages
image-packages:
	@$(DEBIAN_PACKAGES) --must ./tests/image/requirements-debian.txt

.PHONY: constraints
constraints: ## pin the newest versions in constraints.txt
	@PYTHON=$(PYTHON) scripts/refresh-constraints

.PHONY: clean
clean: ## remove the environment and everything that was made
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage coverage.xml build dist bench/.build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
