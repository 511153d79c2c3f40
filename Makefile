# `make demo` and `make test` set everything up by themselves, in .venv, from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check unit wheel-test lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   run a trained network on an accelerator, with real images"
	@echo "make test   style, types, layout and all tests"
	@echo "make unit   the tests alone"
	@echo "make wheel-test   build the wheel, install it in a clean environment, run it from an empty folder"
	@echo "make lock   resolve the dependencies again into requirements.lock"
	@echo "make clean  remove what make made"

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "accel needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	$(BIN)/accel run digits-resnet8 --arch edge-32x32 --out results/demo --overwrite

test: check unit

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(READY)
	$(BIN)/python -m pytest -n auto -rfEs

wheel-test: $(READY)
	rm -rf build/wheel && mkdir -p build/wheel/empty
	$(BIN)/python -m build --wheel --no-isolation --outdir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/*.whl
	cd build/wheel/empty && ../venv/bin/accel run digits-resnet8 --arch edge-32x32 --images 8 --out results

lock:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url --extra dev --quiet --upgrade --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) results build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
