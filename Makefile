# make reproduce   set up .venv and run all experiments on few images: runs/, and figures/ of those
#                  that are complete (ARGS=--full takes all images, which takes hours)
# make test        set up .venv with the test tools; lint, types, tests
# make coverage    the tests alone, and which lines they do not run (takes half as long again)
# make test-julia  the Julia package's tests, and the Python tests that need a Julia with JuMP
# make docs        the documentation site, in site/: results rendered, notebooks run, pages built
# make render      README.md and docs/results.md from figures/data (ARGS=--check compares,
#                  ARGS=--redraw draws the figures again from their rows first)
# make package     build wheel and sdist into dist/, check them, and try both in clean environments
#                  (PYTHONS="python3.11 python3.13" names interpreters, INSTALLER=uv takes uv)
# make performance time this tree against an earlier commit (ARGS="--against COMMIT") into a row of
#                  figures/data/performance.csv and docs/performance.md
# make fuzz        random networks, files, rows and proofs, by the ten and hundred thousand (hours)
# reproduce, docs and test work on a fresh machine with Python 3.11 or later, and offline once installed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_FLAGS ?=
# Worker processes of tests and experiments, one for each core, and other options of
# `reluopt reproduce`.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
ARGS ?=

.PHONY: reproduce docs render test coverage test-julia fuzz lint package performance clean help

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python >= 3.11 is needed, found $$($(PYTHON) --version); set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# The stamps make the second run start at once, and without a network.
$(VENV)/.run-installed: $(VENV)/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[scip,train]'
	@touch $@

$(VENV)/.test-installed: $(VENV)/pyvenv.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

reproduce: $(VENV)/.run-installed
	$(BIN)/reluopt compile --workers $(WORKERS)
	$(BIN)/reluopt reproduce --figures figures --runs runs --workers $(WORKERS) $(ARGS)

$(VENV)/.docs-installed: $(VENV)/.run-installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

render: $(VENV)/.run-installed
	$(BIN)/python docs/render.py $(ARGS)

# The variable silences an advertisement.
docs: render $(VENV)/.docs-installed
	$(BIN)/python docs/gallery.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: $(VENV)/.test-installed
	$(BIN)/ruff check python tests docs
	$(BIN)/ruff format --check python tests docs
	$(BIN)/mypy

# Kernels are compiled once, by all processes, before each of pytest's finds them.
test: lint
	$(BIN)/reluopt compile
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(TEST_FLAGS)

coverage: $(VENV)/.test-installed
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile \
		--cov=reluopt --cov=reluopt_check --cov-report=term $(TEST_FLAGS)

# RELUOPT_FUZZ_SHARE=0.01 takes a hundredth of all counts, RELUOPT_FUZZ_SEED=1 other cases.
fuzz: $(VENV)/.test-installed
	$(BIN)/python -m pytest -m fuzz -s tests/fuzz $(TEST_FLAGS)

# A Julia named by PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT is used as it is; otherwise
# Pkg resolves what the package needs, which takes a network once.
test-julia: $(VENV)/.julia-installed
ifdef PYTHON_JULIACALL_EXE
	$(PYTHON_JULIACALL_EXE) --project=$(PYTHON_JULIACALL_PROJECT) julia/test/runtests.jl
else
	julia --project=julia -e 'import Pkg; Pkg.test()'
endif
	$(BIN)/python -m pytest -m julia

$(VENV)/.julia-installed: $(VENV)/.test-installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[julia,test]'
	@touch $@

# Its tools live in an environment of their own, so that the tests' one stays as it is.
$(VENV)-package/.installed:
	$(PYTHON) -m venv $(VENV)-package
	$(VENV)-package/bin/python -m pip install --quiet --disable-pip-version-check build twine uv
	@touch $@

package: $(VENV)-package/.installed
	rm -rf dist
	$(VENV)-package/bin/python tests/packaging/build.py

performance: $(VENV)/.run-installed
	$(BIN)/python docs/performance.py $(ARGS)

clean:
	rm -rf $(VENV) $(VENV)-package dist .mypy_cache .ruff_cache .pytest_cache .coverage .gallery site
