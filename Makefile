# make reproduce   set up .venv and run the main job: figures/ and runs/
# make test        set up .venv with the test tools; lint, types, tests
# Both work on a fresh machine with Python 3.11 or later, and offline once installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_FLAGS ?=

.PHONY: reproduce test lint clean help

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python >= 3.11 is needed, found $$($(PYTHON) --version); set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamps make the second run start at once, and without a network.
$(VENV)/.run-installed: $(VENV)/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[scip]'
	@touch $@

$(VENV)/.test-installed: $(VENV)/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

reproduce: $(VENV)/.run-installed
	$(BIN)/reluopt reproduce --figures figures --runs runs

lint: $(VENV)/.test-installed
	$(BIN)/ruff check python tests
	$(BIN)/ruff format --check python tests
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest --cov=reluopt --cov-report=term $(TEST_FLAGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .coverage
