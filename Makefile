# Everything installs into .venv; nothing else on the machine is touched but uv's own cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)/boot/bin/uv)
# The machine's own certificates, as pip uses them: uv's built-in list lacks those of a proxy that the machine trusts.
export UV_SYSTEM_CERTS ?= 1

.PHONY: help demo test check format docs gpu-check clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/boot/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "advtool needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)/boot
	@$(VENV)/boot/bin/python -m pip install --quiet --disable-pip-version-check uv

$(INSTALLED): pyproject.toml
	@test -x "$(UV)" || $(MAKE) --no-print-directory $(VENV)/boot/bin/uv
	@test -x $(BIN)/python || "$(UV)" venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@echo "installing advtool and what it needs into $(VENV) ..." >&2
	@"$(UV)" pip install --quiet --compile-bytecode --python $(BIN)/python --editable ".[all]" --group dev
	@touch $@

install: $(INSTALLED)  ## .venv with advtool, its dependencies and the developers' tools

demo: $(INSTALLED)  ## three small models on real images, how robust they are, and a page: in demo/
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh

test: $(INSTALLED)  ## the tests, but for the slow ones
	@$(BIN)/python -m pytest -m "not slow"

check: $(INSTALLED)  ## lint, format, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(INSTALLED)  ## format the code and mend what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.docs  ## the documentation as a site, in site/ (strict: a broken link is an error)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html"

$(VENV)/.docs: $(INSTALLED)
	@"$(UV)" pip install --quiet --python $(BIN)/python --group docs
	@touch $@

gpu-check: $(INSTALLED)  ## the GPU agrees with the CPU (skipped with a reason without CUDA)
	@$(BIN)/python -m pytest tests/gpu -rs --numprocesses 0

clean:  ## remove .venv, the site and caches (never checkpoints or runs)
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
