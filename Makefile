# Everything here needs make, a POSIX shell and Python 3.11 or later; `make` alone lists what there is.
# Set PYTHON to choose the interpreter (make demo PYTHON=python3.13) and VENV to put the environment elsewhere.

VENV ?= .venv
BIN := $(VENV)/bin
PYTHONS = $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python)
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# --no-build-isolation: two dependencies come as source only (pyspark, langdetect); they are built with the locked tools
# of requirements-build.lock, not with whatever an index has on the day.
# --no-deps: the lock files are complete. pip would otherwise look past the pin of a package that another one asks for
# with an extra (coverage[toml]), to its newest release, whose hash is not listed.
LOCKED = --no-deps --no-build-isolation --require-hashes

# Exact versions with the hashes of all their distributions, for Python 3.11 and later on every platform.
UV_COMPILE = build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header

DIST_INSTALL = build/environment/bin/python -m pip install --quiet --disable-pip-version-check --no-input

# Stamps: a set-up that is up to date is not touched again.
RUNTIME := $(VENV)/.winnow-runtime
DEVELOPMENT := $(VENV)/.winnow-development
KERNELS := $(VENV)/.winnow-kernels

PYTEST = $(BIN)/python -m pytest
COVERED = --cov=jobs --cov=udfs
COVERAGE = $(COVERED) --cov-report=term:skip-covered
SUITE = -q -m "not slow and not cluster"
PYTEST_PART = mkdir -p build/coverage && COVERAGE_FILE=build/coverage/.coverage.$(1) \
	$(PYTEST) $(SUITE) $(COVERED) --cov-report=
DEMO := demo

.DEFAULT_GOAL := help
.PHONY: help demo test test-chosen test-suite test-kernels test-jobs test-all test-cluster
.PHONY: lint format dist lock setup setup-dev clean distclean
.DELETE_ON_ERROR:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(KERNELS) ## Set everything up, make a sample of web pages and documents, clean it, print what happened
	@rm -rf $(DEMO)
	@$(BIN)/winnow make-sample $(DEMO)/sample
	@$(BIN)/winnow run --recipe $(DEMO)/sample/demo.yaml --output $(DEMO)/cleaned --paranoid

test: $(if $(ARGS),test-chosen,test-suite) ## Set everything up and run the test suite (not the long matrices, not the cluster)

test-chosen: $(DEVELOPMENT) $(KERNELS)
	@$(PYTEST) $(SUITE) $(COVERAGE) $(ARGS)

# Kernels need no Spark: their tests run beside all others, a core for each.
test-suite: $(DEVELOPMENT) $(KERNELS)
	@$(MAKE) --no-print-directory --jobs=2 test-kernels test-jobs
	@$(BIN)/coverage combine --quiet build/coverage
	@$(BIN)/coverage report --skip-covered

test-kernels:
	@$(call PYTEST_PART,kernels) tests/udfs

test-jobs:
	@$(call PYTEST_PART,jobs) --ignore=tests/udfs

test-cluster: $(DEVELOPMENT) $(KERNELS) ## Run the tests that need a Spark cluster; they start one on loopback and end it
	@$(PYTEST) -q -m "cluster and not slow" $(ARGS)

test-all: $(DEVELOPMENT) $(KERNELS) ## Run every test there is: the suite, the long matrices, the cluster
	@$(PYTEST) -q $(COVERAGE) $(ARGS)

lint: $(DEVELOPMENT) ## Check style, types, the Dockerfile and the compose file
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; else echo "hadolint: no build for this platform, skipped"; fi
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: $(DEVELOPMENT) ## Put the code into the house format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

dist: $(DEVELOPMENT) ## Build what a cluster is given: the wheel, winnow.zip (--py-files), environment.tar.gz (--archives)
	@rm -rf dist build/environment
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@cp dist/winnow_corpus-*.whl dist/winnow.zip
	@$(FIND_PYTHON); "$$python" -m venv build/environment
	@$(DIST_INSTALL) $(LOCKED) -r requirements-build.lock
	@$(DIST_INSTALL) $(LOCKED) -r requirements.lock
	@$(DIST_INSTALL) --no-deps dist/winnow_corpus-*.whl
	@$(BIN)/venv-pack --quiet --prefix build/environment --output dist/environment.tar.gz
	@ls -1 dist

lock: ## Resolve the dependencies anew and write the lock files
	@test -x build/lock/bin/uv || { $(FIND_PYTHON); "$$python" -m venv build/lock; build/lock/bin/pip install --quiet uv; }
	@$(UV_COMPILE) --group build --output-file requirements-build.lock
	@$(UV_COMPILE) pyproject.toml --constraint requirements-build.lock --output-file requirements.lock
	@$(UV_COMPILE) pyproject.toml --extra dev --constraint requirements.lock --constraint requirements-build.lock \
		--output-file requirements-dev.lock

setup: $(KERNELS) ## Only set up: environment, package, compiled kernels

setup-dev: $(DEVELOPMENT) $(KERNELS) ## Only set up, with the tools for development

clean: ## Remove what the other targets made, but not the environment
	@rm -rf $(DEMO) build dist .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse metastore_db derby.log
	@find jobs udfs tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -f $(KERNELS)

distclean: clean ## Remove the environment too
	@rm -rf $(VENV)

# A name on PATH need not run (version managers leave stubs) and Debian's python3 may lack ensurepip: try, do not guess.
FIND_PYTHON = python=; for name in $(PYTHONS); do \
	"$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { python=$$name; break; }; \
	done; \
	if [ -z "$$python" ]; then \
	echo "No Python 3.11 or later with the venv module was found (tried: $(PYTHONS))." >&2; \
	echo "On Debian and Ubuntu: apt install python3 python3-venv. Or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	exit 6; fi

$(BIN)/python:
	@$(FIND_PYTHON); echo "Creating $(VENV) with $$("$$python" --version)"; "$$python" -m venv $(VENV)

$(RUNTIME): requirements-build.lock requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Winnow and what it needs (Spark is a large download)"
	@$(PIP_INSTALL) $(LOCKED) -r requirements-build.lock
	@$(PIP_INSTALL) $(LOCKED) -r requirements.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): requirements-dev.lock $(RUNTIME)
	@echo "Installing the tools for development"
	@$(PIP_INSTALL) $(LOCKED) -r requirements-dev.lock
	@$(BIN)/python -m pip check
	@touch $@

$(KERNELS): $(wildcard udfs/*.py) $(RUNTIME)
	@echo "Compiling the kernels"
	@if [ -f udfs/warm.py ]; then $(BIN)/python -m udfs.warm; fi
	@touch $@
