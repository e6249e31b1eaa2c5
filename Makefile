# Everything a developer or a machine runs.  `make` alone prints this list.

VENV := .venv
BIN := $(VENV)/bin
# What users install, not the source tree: one file of modules, an interpreter of its own.
RUNTIME ?= $(CURDIR)/build/installed/bin/pyoci
RUNTIMES ?= --runtime "$(RUNTIME)" --runtime runc --runtime crun
INSTALL_INPUTS := pyproject.toml pyoci/boot.py pyoci/core.py pyoci/snapshot.py $(wildcard pyoci/launcher/*)

.PHONY: help demo test test-clients check check-files check-rooms check-style check-types conformance conformance-ordinary installed bench \
        test-vm tables format clean

help:
	@echo 'make demo         run one container made of this machine, read-only; nothing to download but wheels'
	@echo 'make test         unit, integration and conformance tests; as root installs what they need'
	@echo 'make test-clients containerd, CRI, docker, podman and buildah with pyoci as their runtime; as root'
	@echo 'make check        formatting, lint, types, unit tests: under a minute, no root'
	@echo 'make conformance  the conformance suite over pyoci, runc and crun, side by side'
	@echo 'make bench        compare with runc and crun'
	@echo 'make test-vm      the integration tests in a virtual machine with cgroup v2 and systemd'
	@echo 'make tables       write anew what is generated from schemas/'
	@echo 'make format       let ruff format the sources'

demo: $(VENV)/.installed
	@$(BIN)/python -m pyoci.demo

# Two at a time, and all of them, whatever the first says.
check: $(VENV)/.tools
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target check-rooms check-files check-types check-style

check-style:
	$(BIN)/ruff format --check --output-format concise .
	$(BIN)/ruff check --output-format concise .

check-types:
	$(BIN)/mypy

# The unit tests in two halves, with a process each: threads or forked workers would be in the way of what they test.
check-rooms:
	$(BIN)/python -m pytest -q $(filter-out %/__pycache__/,$(wildcard tests/unit/*/))

check-files:
	$(BIN)/python -m pytest -q $(wildcard tests/unit/test_*.py)

# The parts all run, whatever the first says; pytest comes last.  The conformance suite runs with both interpreters,
# pyoci's own and the ordinary one.
test: $(VENV)/.tools
	tests/prepare packages
	tests/prepare host
	@status=0; \
	$(MAKE) --no-print-directory conformance RUNTIMES='--runtime "$(RUNTIME)"' || status=1; \
	$(MAKE) --no-print-directory conformance-ordinary || status=1; \
	$(BIN)/python -m pytest tests/unit tests/integration tests/differential || status=1; \
	exit $$status

# PYOCI_CLIENTS_RUNTIME=/usr/sbin/runc runs the same cases with another runtime.
test-clients: $(VENV)/.tools
	tests/prepare packages
	tests/prepare clients
	tests/prepare host
	$(BIN)/python -m pytest tests/clients

conformance: installed
	@if [ "$$(id -u)" = 0 ]; then conformance/run --quiet $(RUNTIMES); \
	else echo 'conformance: skipped, needs root'; fi

conformance-ordinary:
	tests/prepare venv build/ordinary
	PYOCI_INTERPRETER=none build/ordinary/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall .
	@if [ "$$(id -u)" = 0 ]; then conformance/run --quiet --runtime "$(CURDIR)/build/ordinary/bin/pyoci"; \
	else echo 'conformance: skipped, needs root'; fi

bench: installed $(VENV)/.installed
	tests/prepare packages
	tests/prepare host
	$(BIN)/python tests/bench/bench.py pyoci=build/installed/bin/pyoci runc=runc crun=crun

installed:
	tests/prepare venv build/installed
	build/installed/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall .

test-vm:
	tests/prepare vm-packages
	tests/vm/vm build
	tests/vm/run

tables: $(VENV)/.installed
	$(BIN)/python -m pyoci.config.compile_schema

format: $(VENV)/.tools
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.installed: $(INSTALL_INPUTS) tests/prepare
	tests/prepare venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	tests/prepare tools $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
