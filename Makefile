# Everything runs in .venv, which is built from the versions pinned in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_DISABLE_TELEMETRY := 1

KERNEL_TESTS := $(addprefix tests/test_,$(addsuffix .py,kernels counting cooccurrence merging spilling refusals \
    information significance bigram cutting))

.PHONY: help demo test test-nojit lint bench clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/done  ## the main job on embedded data: plan, dataset, comparison, model, restored answers (in demo/)
	$(BIN)/python examples/demo.py demo

test: .venv/done  ## all tests
	$(BIN)/python -m pytest

test-nojit: .venv/done  ## tests of counting, information and cutting with all kernels as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m "not slow" $(KERNEL_TESTS)

lint: .venv/done  ## style, docstrings, annotations, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/done  ## speed against named peers, written to tests/benchmarks/RESULTS.md
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python tests/benchmarks

clean:  ## remove what the other targets made
	rm -rf .venv demo build *.egg-info

.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,report,dev]'
	touch $@
