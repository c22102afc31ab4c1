# Everything runs in .venv, which is built from the versions pinned in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_DISABLE_TELEMETRY := 1

# Files stay whole, as their fixtures are dear.
SPREAD := -n auto --dist loadfile
KERNEL_TESTS := $(addprefix tests/test_,$(addsuffix .py,kernels column_kernels counting cooccurrence merging spilling \
    refusals information significance bigram association cutting digit_cutter label_cutter \
    field_cutter))

# The oldest TRL that pyproject.toml allows lies beside the pinned one and is found first.
OLDEST_TRL := $(shell sed -n 's/.*"trl>=\([0-9.]*\).*/\1/p' pyproject.toml)
TRAINING := $(addprefix tests/test_,sft.py generate.py trainers.py ends.py boundaries.py lengths.py chat.py)

# What users call; the rest of the package may change.
API := mireorder $(addprefix mireorder.,serving.served serving.stream serving.schema tokenizing.chat tokenizing.tokens \
    tokenizing.reserved training.train training.budget training.generate training.constrain evaluate.compare \
    evaluate.search evaluate.outcomes evaluate.orders report.comparison report.page information.entropy \
    information.mutual counting.cooccurrence ordering.record ordering.columns restoring.digits restoring.labels restoring.fields \
    restoring.placed dataset.check dataset.shown)

.PHONY: help demo test test-slow test-nojit test-oldest test-consumers lint pages docs laws faults scaling bench clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/done  ## the main job on embedded data: plan, dataset, comparison, model, restored answers (in demo/)
	$(BIN)/python examples/demo.py demo

test: .venv/done  ## all tests but the slow ones, on all cores
	$(BIN)/python -m pytest $(SPREAD) -m "not slow"

test-slow: .venv/done  ## the tests that take more than a few seconds each
	$(BIN)/python -m pytest $(SPREAD) -m slow

test-nojit: .venv/done  ## tests of counting, information and cutting with all kernels as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest $(SPREAD) -m "not slow" $(KERNEL_TESTS)

test-oldest: .venv/trl-$(OLDEST_TRL)  ## the tests of training, with the oldest TRL that is allowed
	PYTHONPATH=$(CURDIR)/$< $(BIN)/python -c "import trl; assert trl.__version__ == '$(OLDEST_TRL)', trl.__version__"
	PYTHONPATH=$(CURDIR)/$< $(BIN)/python -m pytest $(SPREAD) $(TRAINING)

test-consumers: .venv/consumers  ## exports, loaded by the loaders of other trainers
	PYTHONPATH=$(CURDIR)/$< $(BIN)/python -m pytest $(SPREAD) tests/test_consumers.py tests/test_smollm2.py

test-cloud: .venv/cloud  ## runs in stores: an S3 server on loopback, memory, the hub
	PYTHONPATH=$(CURDIR)/$< $(BIN)/python -m pytest $(SPREAD) tests/test_storage.py tests/test_storage_faults.py

lint: .venv/done  ## style, docstrings, annotations, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pages: .venv/cloud  ## every block of README.md and docs/, run as a reader would
	PYTHONPATH=$(CURDIR)/$< $(BIN)/python tests/run_readme.py

docs: .venv/done  ## the API reference, built from the docstrings (in build/api/)
	$(BIN)/python -m pdoc --docformat google --no-show-source --output-directory build/api $(API)

laws: .venv/done  ## the restore law on real data (DATA=folder), written to tests/benchmarks/LAWS.md
	$(BIN)/python tests/benchmarks/laws.py $(DATA)

faults: .venv/done  ## kills, full disks, damaged files: what comes of them, written to tests/benchmarks/FAULTS.md
	$(BIN)/python tests/benchmarks/faults.py

scaling: .venv/done  ## what more data, files and workers and a kill cost, written to tests/benchmarks/SCALING.md
	$(BIN)/python tests/benchmarks/scaling.py

bench: .venv/done  ## speed against named peers, written to tests/benchmarks/RESULTS.md
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python tests/benchmarks

clean:  ## remove what the other targets made
	rm -rf .venv demo build *.egg-info

.venv/done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,report,sentences,rouge,qlora,dask,docs,dev]'
	touch $@

.venv/trl-$(OLDEST_TRL): .venv/done
	rm -rf $@
	$(BIN)/pip install --quiet --no-deps --target $@ trl==$(OLDEST_TRL)

# botocore takes no python-dateutil of the version that is pinned, so that clients and server of S3 lie beside the others.
.venv/cloud: .venv/done tests/cloud.txt
	rm -rf $@
	$(BIN)/pip install --quiet --no-deps --target $@ --requirement tests/cloud.txt

# What these packages depend on is left out: it would bring other versions of torch and transformers.
.venv/consumers: .venv/done tests/consumers.txt
	rm -rf $@
	$(BIN)/pip install --quiet --no-deps --target $@ --requirement tests/consumers.txt
