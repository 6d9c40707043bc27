# Needs Python >= 3.11, make and a package index: `make demo` or `make test`. Both write two things outside this folder: uv's
# download cache, which they share through hard links, and the micro data sets (in HARNESS_DATA, if set).
# The README has the same commands without make.

PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bin/python tools/like_pip.py uv
TOX := $(VENV)/bin/python tools/like_pip.py tox

.DEFAULT_GOAL := help
.PHONY: help setup demo test report clean

help:
	@echo "make demo    set up, train I3D on the micro data sets, print Table 4 (minutes on two cores)"
	@echo "make test    set up, run lint, types, unit, contract and e2e tests through tox"
	@echo "make setup   only install into $(VENV); then run $(VENV)/bin/harness --help"
	@echo "make clean   remove $(VENV), .tox and caches; keep results"
	@echo "PYTHON=python3.12 make ... uses another interpreter than python3"

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"$(PYTHON) is Python {sys.version.split()[0]}, but the harness needs 3.11 or newer; name another interpreter: make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) cannot create virtual environments; install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@test ! -f $(VENV) || rm $(VENV) # tox writes a file of this name with the path of its environment
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/harness-installed: $(VENV)/bin/uv pyproject.toml
	$(UV) pip install --editable .
	@touch $@

$(VENV)/tox-installed: $(VENV)/bin/uv
	$(UV) pip install --quiet tox tox-uv
	@touch $@

setup: $(VENV)/harness-installed

demo: setup
	$(VENV)/bin/harness run --baseline i3d --protocol full-ft --dataset micro-hmdb51
	$(VENV)/bin/harness table 4 --scale micro

test: $(VENV)/tox-installed
	$(TOX)

clean:
	rm -rf $(VENV) .tox .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
